//! Browser sessions in PostgreSQL.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{column, execute, first},
    values::Json,
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{BrowserSession, BrowserSessions, Result, User},
};

#[async_trait]
impl BrowserSessions for PostgresStore {
    async fn open_session(&self, session: &BrowserSession, replaces: Option<&Digest>) -> Result<()> {
        let user = &session.user;
        execute(
            &self.pool,
            "WITH known AS (
               INSERT INTO users (subject, issuer, sub, email, name, claims) VALUES ($1, $2, $3, $4, $5, $6)
               ON CONFLICT (subject) DO UPDATE
               SET issuer = excluded.issuer, sub = excluded.sub, email = excluded.email, name = excluded.name,
                   claims = excluded.claims
             ), replaced AS (
               DELETE FROM browser_sessions WHERE digest = $10
             )
             INSERT INTO browser_sessions (digest, subject, created_at, expires_at) VALUES ($7, $1, $8, $9)",
            &[
                &user.subject,
                &user.issuer,
                &user.sub,
                &user.email,
                &user.name,
                &Json(&user.claims),
                &session.digest,
                &session.created_at,
                &session.expires_at,
                &replaces,
            ],
        )
        .await
        .map(drop)
    }

    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<BrowserSession>> {
        first(
            &self.pool,
            "SELECT s.digest, s.created_at, s.expires_at, u.subject, u.issuer, u.sub, u.email, u.name, u.claims
             FROM browser_sessions s JOIN users u ON u.subject = s.subject
             WHERE s.digest = $1 AND s.expires_at > $2",
            &[digest, &now],
            session,
        )
        .await
    }

    async fn end_session(&self, digest: &Digest) -> Result<bool> {
        let ended = execute(&self.pool, "DELETE FROM browser_sessions WHERE digest = $1", &[digest]).await?;
        Ok(ended > 0)
    }
}

fn session(row: &Row) -> Result<BrowserSession> {
    Ok(BrowserSession {
        digest: column(row, "digest")?,
        user: User {
            subject: column(row, "subject")?,
            issuer: column(row, "issuer")?,
            sub: column(row, "sub")?,
            email: column(row, "email")?,
            name: column(row, "name")?,
            claims: column::<Json<_>>(row, "claims")?.0,
        },
        created_at: column(row, "created_at")?,
        expires_at: column(row, "expires_at")?,
    })
}
