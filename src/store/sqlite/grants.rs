//! Grants in SQLite: their codes, tokens and revocation. The statements behind codes and tokens are in `tokens`.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore,
    statement::{all, column, execute, first},
    tokens,
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        AccessToken, ClientId, Code, Grant, GrantId, Grants, IssuedTokens, NewCode, NewGrant, OpenToken, RedeemedCode,
        RefreshToken, Result, Revoked, Rotation, SubjectId,
    },
};

#[async_trait]
impl Grants for SqliteStore {
    async fn code(&self, digest: &Digest, now: Timestamp) -> Result<Option<Code>> {
        let digest = *digest;
        self.read(move |connection| {
            first(
                connection,
                "SELECT c.digest, c.redirect_uri, c.code_challenge, c.expires_at AS code_expires_at,
                        g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
                 FROM codes c JOIN grants g ON g.id = c.grant_id
                 WHERE c.digest = ?1 AND g.revoked_at IS NULL AND g.expires_at > ?2",
                params![digest, now],
                |row| {
                    let bound = NewCode {
                        digest: column(row, "digest")?,
                        redirect_uri: column(row, "redirect_uri")?,
                        code_challenge: column(row, "code_challenge")?,
                        expires_at: column(row, "code_expires_at")?,
                    };
                    Ok(Code { bound, grant: grant(row)? })
                },
            )
        })
        .await
    }

    async fn redeem_code(&self, digest: &Digest, tokens: &IssuedTokens, now: Timestamp) -> Result<RedeemedCode> {
        let (digest, tokens) = (*digest, tokens.clone());
        self.write(move |connection| tokens::redeem_code(connection, &digest, &tokens, now)).await
    }

    async fn burn_code(&self, digest: &Digest, now: Timestamp) -> Result<()> {
        let digest = *digest;
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE codes SET spent_at = ?2 WHERE digest = ?1 AND spent_at IS NULL",
                params![digest, now],
            )
            .map(drop)
        })
        .await
    }

    async fn refresh_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<RefreshToken>> {
        let digest = *digest;
        self.read(move |connection| {
            first(
                connection,
                "SELECT r.rotated_at,
                        g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
                 FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
                 WHERE r.digest = ?1 AND g.revoked_at IS NULL AND g.expires_at > ?2",
                params![digest, now],
                |row| Ok(RefreshToken { grant: grant(row)?, rotated_at: column(row, "rotated_at")? }),
            )
        })
        .await
    }

    async fn rotate_refresh_token(
        &self,
        presented: &Digest,
        client: &ClientId,
        successors: &IssuedTokens,
        sealed_successor: &[u8],
        grace: Duration,
        now: Timestamp,
    ) -> Result<Rotation> {
        let (presented, client, successors, sealed) =
            (*presented, client.clone(), successors.clone(), sealed_successor.to_vec());
        self.write(move |connection| {
            tokens::rotate_refresh_token(connection, &presented, &client, &successors, &sealed, grace, now)
        })
        .await
    }

    async fn access_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<AccessToken>> {
        let digest = *digest;
        self.read(move |connection| {
            first(
                connection,
                "SELECT a.expires_at AS token_expires_at, COALESCE(u.claims, '{}') AS claims,
                        g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
                 FROM access_tokens a JOIN grants g ON g.id = a.grant_id LEFT JOIN users u ON u.subject = g.subject
                 WHERE a.digest = ?1 AND a.expires_at > ?2 AND g.revoked_at IS NULL AND g.expires_at > ?2",
                params![digest, now],
                |row| {
                    Ok(AccessToken {
                        grant: grant(row)?,
                        expires_at: column(row, "token_expires_at")?,
                        claims: column(row, "claims")?,
                    })
                },
            )
        })
        .await
    }

    async fn revoked_among(&self, tokens: &[OpenToken], now: Timestamp) -> Result<Vec<Digest>> {
        let tokens = tokens.to_vec();
        self.read(move |connection| {
            let mut revoked = Vec::new();
            for OpenToken { digest, grant_id, expires_at } in tokens {
                let live = first(
                    connection,
                    "SELECT 1 FROM grants g
                     WHERE g.id = ?2 AND g.revoked_at IS NULL AND g.expires_at > ?4
                       AND (?3 <= ?4 OR EXISTS (SELECT 1 FROM access_tokens a WHERE a.digest = ?1))",
                    params![digest, grant_id, expires_at, now],
                    |_| Ok(()),
                )?;
                if live.is_none() {
                    revoked.push(digest);
                }
            }
            Ok(revoked)
        })
        .await
    }

    async fn revoke_token(&self, digest: &Digest, client: &ClientId, now: Timestamp) -> Result<Revoked> {
        let (digest, client) = (*digest, client.clone());
        self.write(move |connection| tokens::revoke_token(connection, &digest, &client, now)).await
    }

    async fn grants_of(&self, subject: &SubjectId, now: Timestamp) -> Result<Vec<Grant>> {
        let subject = subject.clone();
        self.read(move |connection| {
            all(
                connection,
                "SELECT id, subject, client_id, operation_id, resource, scope, created_at, expires_at
                 FROM grants WHERE subject = ?1 AND revoked_at IS NULL AND expires_at > ?2
                 ORDER BY created_at DESC, id LIMIT 300",
                params![subject, now],
                grant,
            )
        })
        .await
    }

    async fn revoke_grant(&self, id: &GrantId, now: Timestamp) -> Result<bool> {
        let id = id.clone();
        self.write(move |connection| {
            execute(
                connection,
                "UPDATE grants SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL AND expires_at > ?2",
                params![id, now],
            )
            .map(|revoked| revoked > 0)
        })
        .await
    }
}

/// Keeps a new grant.
pub(super) fn keep_grant(connection: &Connection, grant: &NewGrant) -> Result<()> {
    execute(
        connection,
        "INSERT INTO grants (id, subject, client_id, operation_id, resource, scope, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            grant.id,
            grant.subject,
            grant.client_id,
            grant.operation_id,
            grant.resource,
            grant.scope,
            grant.created_at,
            grant.expires_at
        ],
    )
    .map(drop)
}

/// Keeps the code of a new grant.
pub(super) fn keep_code(connection: &Connection, grant: &GrantId, code: &NewCode) -> Result<()> {
    execute(
        connection,
        "INSERT INTO codes (digest, grant_id, redirect_uri, code_challenge, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![code.digest, grant, code.redirect_uri, code.code_challenge, code.expires_at],
    )
    .map(drop)
}

fn grant(row: &Row<'_>) -> Result<Grant> {
    Ok(Grant {
        id: column(row, "id")?,
        subject: column(row, "subject")?,
        client_id: column(row, "client_id")?,
        operation_id: column(row, "operation_id")?,
        resource: column(row, "resource")?,
        scope: column(row, "scope")?,
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
    })
}
