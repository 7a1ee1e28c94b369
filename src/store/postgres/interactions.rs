//! Interactions and logins in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{column, execute, first},
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{Interaction, InteractionId, Interactions, Login, NewCode, NewGrant, Result},
};

#[async_trait]
impl Interactions for PostgresStore {
    async fn create_interaction(&self, interaction: &Interaction) -> Result<()> {
        execute(
            &self.pool,
            "INSERT INTO interactions
               (id, client_id, redirect_uri, state, code_challenge, operation_id, resource, issuer, scope, error, ask_again,
                session, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
            &[
                &interaction.id,
                &interaction.client_id,
                &interaction.redirect_uri,
                &interaction.state,
                &interaction.code_challenge,
                &interaction.operation_id,
                &interaction.resource,
                &interaction.issuer,
                &interaction.scope,
                &interaction.error,
                &interaction.ask_again,
                &interaction.session,
                &interaction.created_at,
                &interaction.expires_at,
            ],
        )
        .await
        .map(drop)
    }

    async fn interaction(&self, id: &InteractionId, now: Timestamp) -> Result<Option<Interaction>> {
        first(
            &self.pool,
            "SELECT id, client_id, redirect_uri, state, code_challenge, operation_id, resource, issuer, scope,
                    error, ask_again, session, created_at, expires_at
             FROM interactions WHERE id = $1 AND expires_at > $2",
            &[id, &now],
            interaction,
        )
        .await
    }

    async fn bind_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool> {
        let bound = execute(
            &self.pool,
            "UPDATE interactions SET session = $2
             WHERE id = $1 AND (session IS NULL OR session = $2) AND expires_at > $3",
            &[id, session, &now],
        )
        .await?;
        Ok(bound > 0)
    }

    async fn approve_interaction(
        &self,
        id: &InteractionId,
        session: &Digest,
        grant: &NewGrant,
        code: &NewCode,
        now: Timestamp,
    ) -> Result<bool> {
        let approved = execute(
            &self.pool,
            "WITH live AS (
               SELECT digest FROM browser_sessions WHERE digest = $2 AND expires_at > $3 FOR SHARE
             ), spent AS (
               DELETE FROM interactions i USING live
               WHERE i.id = $1 AND i.session = live.digest AND i.expires_at > $3
               RETURNING i.id
             ), kept AS (
               INSERT INTO grants (id, subject, client_id, operation_id, resource, scope, created_at, expires_at)
               SELECT $4::text, $5::text, $6::text, $7::text, $8::text, $9::text, $10::bigint, $11::bigint FROM spent
               RETURNING id
             )
             INSERT INTO codes (digest, grant_id, redirect_uri, code_challenge, expires_at)
             SELECT $12::bytea, id, $13::text, $14::text, $15::bigint FROM kept",
            &[
                id,
                session,
                &now,
                &grant.id,
                &grant.subject,
                &grant.client_id,
                &grant.operation_id,
                &grant.resource,
                &grant.scope,
                &grant.created_at,
                &grant.expires_at,
                &code.digest,
                &code.redirect_uri,
                &code.code_challenge,
                &code.expires_at,
            ],
        )
        .await?;
        Ok(approved > 0)
    }

    async fn cancel_interaction(&self, id: &InteractionId, session: &Digest, now: Timestamp) -> Result<bool> {
        let cancelled = execute(
            &self.pool,
            "DELETE FROM interactions WHERE id = $1 AND session = $2 AND expires_at > $3",
            &[id, session, &now],
        )
        .await?;
        Ok(cancelled > 0)
    }

    async fn create_login(&self, login: &Login) -> Result<()> {
        execute(
            &self.pool,
            "INSERT INTO logins (state, browser, nonce, sealed_verifier, redirect_uri, interaction, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                &login.state,
                &login.browser,
                &login.nonce,
                &login.sealed_verifier,
                &login.redirect_uri,
                &login.interaction,
                &login.expires_at,
            ],
        )
        .await
        .map(drop)
    }

    async fn take_login(&self, state: &Digest, browser: &Digest, now: Timestamp) -> Result<Option<Login>> {
        first(
            &self.pool,
            "DELETE FROM logins WHERE state = $1 AND browser = $2 AND expires_at > $3
             RETURNING state, browser, nonce, sealed_verifier, redirect_uri, interaction, expires_at",
            &[state, browser, &now],
            login,
        )
        .await
    }
}

fn interaction(row: &Row) -> Result<Interaction> {
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

fn login(row: &Row) -> Result<Login> {
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
