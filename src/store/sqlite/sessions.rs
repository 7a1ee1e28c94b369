//! Browser sessions in SQLite.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
    statement::{column, execute, first},
    values::Json,
};
use crate::{
    clock::Timestamp,
    crypto::Digest,
    store::{BrowserSession, BrowserSessions, Result, User},
};

#[async_trait]
impl BrowserSessions for SqliteStore {
    async fn open_session(&self, session: &BrowserSession, replaces: Option<&Digest>) -> Result<()> {
        let (session, replaces) = (session.clone(), replaces.copied());
        self.write(move |connection| {
            let user = &session.user;
            execute(
                connection,
                "INSERT INTO users (subject, issuer, sub, email, name, claims) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (subject) DO UPDATE
                 SET issuer = excluded.issuer, sub = excluded.sub, email = excluded.email, name = excluded.name,
                     claims = excluded.claims",
                params![user.subject, user.issuer, user.sub, user.email, user.name, Json(&user.claims)],
            )?;
            execute(
                connection,
                "INSERT INTO browser_sessions (digest, subject, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
                params![session.digest, user.subject, session.created_at, session.expires_at],
            )?;
            execute(connection, "DELETE FROM browser_sessions WHERE digest = ?1", params![replaces]).map(drop)
        })
        .await
    }

    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<BrowserSession>> {
        let digest = *digest;
        self.read(move |connection| {
            first(
                connection,
                "SELECT s.digest, s.created_at, s.expires_at, u.subject, u.issuer, u.sub, u.email, u.name, u.claims
                 FROM browser_sessions s JOIN users u ON u.subject = s.subject
                 WHERE s.digest = ?1 AND s.expires_at > ?2",
                params![digest, now],
                session,
            )
        })
        .await
    }

    async fn end_session(&self, digest: &Digest) -> Result<bool> {
        let digest = *digest;
        self.write(move |connection| {
            execute(connection, "DELETE FROM browser_sessions WHERE digest = ?1", params![digest])
                .map(|ended| ended > 0)
        })
        .await
    }
}

fn session(row: &Row<'_>) -> Result<BrowserSession> {
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
