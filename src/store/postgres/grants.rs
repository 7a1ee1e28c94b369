//! Grants in PostgreSQL: their codes, tokens and revocation. What spends and rotates is in `tokens`.

use std::time::Duration;

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{all, column, execute, first},
    tokens,
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{
        AccessToken, ClientId, Code, Grant, GrantId, Grants, IssuedTokens, NewCode, OpenToken, RedeemedCode,
        RefreshToken, Result, Revoked, Rotation, SubjectId,
    },
};

#[async_trait]
impl Grants for PostgresStore {
    async fn code(&self, digest: &Digest, now: Timestamp) -> Result<Option<Code>> {
        first(
            &self.pool,
            "SELECT c.digest, c.redirect_uri, c.code_challenge, c.expires_at AS code_expires_at,
                    g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
             FROM codes c JOIN grants g ON g.id = c.grant_id
             WHERE c.digest = $1 AND g.revoked_at IS NULL AND g.expires_at > $2",
            &[digest, &now],
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
        .await
    }

    async fn redeem_code(&self, digest: &Digest, tokens: &IssuedTokens, now: Timestamp) -> Result<RedeemedCode> {
        tokens::redeem_code(&self.pool, digest, tokens, now).await
    }

    async fn burn_code(&self, digest: &Digest, now: Timestamp) -> Result<()> {
        execute(&self.pool, "UPDATE codes SET spent_at = $2 WHERE digest = $1 AND spent_at IS NULL", &[digest, &now])
            .await
            .map(drop)
    }

    async fn refresh_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<RefreshToken>> {
        first(
            &self.pool,
            "SELECT r.rotated_at,
                    g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
             FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id
             WHERE r.digest = $1 AND g.revoked_at IS NULL AND g.expires_at > $2",
            &[digest, &now],
            |row| Ok(RefreshToken { grant: grant(row)?, rotated_at: column(row, "rotated_at")? }),
        )
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
        tokens::rotate_refresh_token(&self.pool, presented, client, successors, sealed_successor, grace, now).await
    }

    async fn access_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<AccessToken>> {
        first(
            &self.pool,
            "SELECT a.expires_at AS token_expires_at, COALESCE(u.claims, '{}') AS claims,
                    g.id, g.subject, g.client_id, g.operation_id, g.resource, g.scope, g.created_at, g.expires_at
             FROM access_tokens a JOIN grants g ON g.id = a.grant_id LEFT JOIN users u ON u.subject = g.subject
             WHERE a.digest = $1 AND a.expires_at > $2 AND g.revoked_at IS NULL AND g.expires_at > $2",
            &[digest, &now],
            |row| {
                Ok(AccessToken {
                    grant: grant(row)?,
                    expires_at: column(row, "token_expires_at")?,
                    claims: column(row, "claims")?,
                })
            },
        )
        .await
    }

    async fn revoked_among(&self, tokens: &[OpenToken], now: Timestamp) -> Result<Vec<Digest>> {
        let digests: Vec<Digest> = tokens.iter().map(|token| token.digest).collect();
        let grants: Vec<&GrantId> = tokens.iter().map(|token| &token.grant_id).collect();
        let ends: Vec<Timestamp> = tokens.iter().map(|token| token.expires_at).collect();
        all(
            &self.pool,
            "SELECT open.digest
             FROM unnest($1::bytea[], $2::text[], $3::bigint[]) AS open (digest, grant_id, expires_at)
             LEFT JOIN grants g ON g.id = open.grant_id AND g.revoked_at IS NULL AND g.expires_at > $4
             LEFT JOIN access_tokens a ON a.digest = open.digest
             WHERE g.id IS NULL OR (a.digest IS NULL AND open.expires_at > $4)",
            &[&digests, &grants, &ends, &now],
            |row| column(row, "digest"),
        )
        .await
    }

    async fn revoke_token(&self, digest: &Digest, client: &ClientId, now: Timestamp) -> Result<Revoked> {
        tokens::revoke_token(&self.pool, digest, client, now).await
    }

    async fn grants_of(&self, subject: &SubjectId, now: Timestamp) -> Result<Vec<Grant>> {
        all(
            &self.pool,
            "SELECT id, subject, client_id, operation_id, resource, scope, created_at, expires_at
             FROM grants WHERE subject = $1 AND revoked_at IS NULL AND expires_at > $2
             ORDER BY created_at DESC, id LIMIT 300",
            &[subject, &now],
            grant,
        )
        .await
    }

    async fn revoke_grant(&self, id: &GrantId, now: Timestamp) -> Result<bool> {
        let revoked = execute(
            &self.pool,
            "UPDATE grants SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL AND expires_at > $2",
            &[id, &now],
        )
        .await?;
        Ok(revoked > 0)
    }
}

fn grant(row: &Row) -> Result<Grant> {
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
