//! Interactions and logins in SQLite.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
    grants::{keep_code, keep_grant},
    statement::{column, execute, first},
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{Interaction, InteractionId, Interactions, Login, NewCode, NewGrant, Result},
};

#[async_trait]
impl Interactions for SqliteStore {
    async fn create_interaction(&self, interaction: &Interaction) -> Result<()> {
        let interaction = interaction.clone();
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO interactions
                   (id, client_id, redirect_uri, state, code_challenge, operation_id, resource, issuer, scope, error, ask_again,
                    session, created_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    interaction.id,
                    interaction.client_id,
                    interaction.redirect_uri,
                    interaction.state,
                    interaction.code_challenge,
                    interaction.operation_id,
                    interaction.resource,
                    interaction.issuer,
                    interaction.scope,
                    interaction.error,
                    interaction.ask_again,
                    interaction.session,
                    interaction.created_at,
                    interaction.expires_at
                ],
            )
            .map(drop)
        })
        .await
    }

    async fn interaction(&self, id: &InteractionId, now: Timestamp) -> Result<Option<Interaction>> {
        let id = id.clone();
        self.read(move |connection| {
            first(
                connection,
                "SELECT id, client_id, redirect_uri, state, code_challenge, operation_id, resource, issuer, scope,
                        error, ask_again, session, created_at, expires_at
                 FROM interactions WHERE id = ?1 AND expires_at > ?2",
                params![id, now],
                interaction,
            )
        })
        .await
    }

    async fn bind_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool> {
        let (id, session) = (id.clone(), *session);
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE interactions SET session = ?2
                 WHERE id = ?1 AND (session IS NULL OR session = ?2) AND expires_at > ?3",
                params![id, session, now],
            )
            .map(|bound| bound > 0)
        })
        .await
    }

    async fn approve_interaction(
        &self,
        id: &InteractionId,
        session: &Digest,
        grant: &NewGrant,
        code: &NewCode,
        now: Timestamp,
    ) -> Result<bool> {
        let (id, session, grant, code) = (id.clone(), *session, grant.clone(), code.clone());
        self.write(move |connection| {
            let spent = execute(
                connection,
                "DELETE FROM interactions
                 WHERE id = ?1 AND session = ?2 AND expires_at > ?3
                   AND EXISTS (SELECT 1 FROM browser_sessions WHERE digest = ?2 AND expires_at > ?3)",
                params![id, session, now],
            )?;
            if spent == 0 {
                return Ok(false);
            }
            keep_grant(connection, &grant)?;
            keep_code(connection, &grant.id, &code)?;
            Ok(true)
        })
        .await
    }

    async fn cancel_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool> {
        let (id, session) = (id.clone(), *session);
        self.write(move |connection| {
            execute(
                connection,
                "DELETE FROM interactions WHERE id = ?1 AND session = ?2 AND expires_at > ?3",
                params![id, session, now],
            )
            .map(|cancelled| cancelled > 0)
        })
        .await
    }

    async fn create_login(&self, login: &Login) -> Result<()> {
        let login = login.clone();
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO logins (state, browser, nonce, sealed_verifier, redirect_uri, interaction, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    login.state,
                    login.browser,
                    login.nonce,
                    login.sealed_verifier,
                    login.redirect_uri,
                    login.interaction,
                    login.expires_at
                ],
            )
            .map(drop)
        })
        .await
    }

    async fn take_login(&self, state: &Digest, browser: &Digest, now: Timestamp) -> Result<Option<Login>> {
        let (state, browser) = (*state, *browser);
        self.write(move |connection| {
            first(
                connection,
                "DELETE FROM logins WHERE state = ?1 AND browser = ?2 AND expires_at > ?3
                 RETURNING state, browser, nonce, sealed_verifier, redirect_uri, interaction, expires_at",
                params![state, browser, now],
                login,
            )
        })
        .await
    }
}

fn interaction(row: &Row<'_>) -> Result<Interaction> {
    Ok(Interaction {
        id: column(row, "id")?,
        client_id: column(row, "client_id")?,
        redirect_uri: column(row, "redirect_uri")?,
        state: column(row, "state")?,
        code_challenge: column(row, "code_challenge")?,
        operation_id: column(row, "operation_id")?,
        resource: column(row, "resource")?,
        issuer: column(row, "issuer")?,
        scope: column(row, "scope")?,
        error: column(row, "error")?,
        ask_again: column(row, "ask_again")?,
        session: column(row, "session")?,
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
    })
}

fn login(row: &Row<'_>) -> Result<Login> {
    Ok(Login {
        state: column(row, "state")?,
        browser: column(row, "browser")?,
        nonce: column(row, "nonce")?,
        sealed_verifier: column(row, "sealed_verifier")?,
        redirect_uri: column(row, "redirect_uri")?,
        interaction: column(row, "interaction")?,
        expires_at: column(row, "expires_at")?,
    })
}
