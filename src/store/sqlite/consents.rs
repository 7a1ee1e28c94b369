//! Remembered consents in SQLite.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
    statement::{all, column, execute, first},
};
use crate::{
    clock::Timestamp,
    store::{ClientId, Consent, ConsentKey, Consents, Result, SubjectId},
};

#[async_trait]
impl Consents for SqliteStore {
    async fn remember_consent(&self, consent: &Consent) -> Result<()> {
        let consent = consent.clone();
        self.write(move |connection| {
            execute(
                connection,
                "INSERT INTO consents
                   (subject, client_id, redirect_uri, resource, operation_id, scope, metadata, approved_at, expires_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (subject, client_id, redirect_uri, resource) DO UPDATE
                 SET operation_id = excluded.operation_id, scope = excluded.scope, metadata = excluded.metadata,
                     approved_at = excluded.approved_at, expires_at = excluded.expires_at",
                params![
                    consent.key.subject,
                    consent.key.client_id,
                    consent.key.redirect_uri,
                    consent.key.resource,
                    consent.operation_id,
                    consent.scope,
                    consent.metadata,
                    consent.approved_at,
                    consent.expires_at
                ],
            )
            .map(drop)
        })
        .await
    }

    async fn consent(&self, key: &ConsentKey, now: Timestamp) -> Result<Option<Consent>> {
        let key = key.clone();
        self.read(move |connection| {
            first(
                connection,
                "SELECT subject, client_id, redirect_uri, resource, operation_id, scope,
                        metadata, approved_at, expires_at
                 FROM consents
                 WHERE subject = ?1 AND client_id = ?2 AND redirect_uri = ?3 AND resource = ?4 AND expires_at > ?5",
                params![key.subject, key.client_id, key.redirect_uri, key.resource, now],
                consent,
            )
        })
        .await
    }

    async fn consents_of(&self, subject: &SubjectId, now: Timestamp) -> Result<Vec<Consent>> {
        let subject = subject.clone();
        self.read(move |connection| {
            all(
                connection,
                "SELECT subject, client_id, redirect_uri, resource, operation_id, scope,
                        metadata, approved_at, expires_at
                 FROM consents WHERE subject = ?1 AND expires_at > ?2
                 ORDER BY approved_at DESC, client_id, resource, redirect_uri LIMIT 300",
                params![subject, now],
                consent,
            )
        })
        .await
    }

    async fn forget_consents(&self, subject: &SubjectId, client: &ClientId, operation_id: &str) -> Result<u64> {
        let (subject, client, operation_id) = (subject.clone(), client.clone(), operation_id.to_owned());
        self.write(move |connection| {
            execute(
                connection,
                "DELETE FROM consents WHERE subject = ?1 AND client_id = ?2 AND operation_id = ?3",
                params![subject, client, operation_id],
            )
            .map(|forgotten| u64::try_from(forgotten).unwrap_or(u64::MAX))
        })
        .await
    }
}

fn consent(row: &Row<'_>) -> Result<Consent> {
    Ok(Consent {
        key: ConsentKey {
            subject: column(row, "subject")?,
            client_id: column(row, "client_id")?,
            redirect_uri: column(row, "redirect_uri")?,
            resource: column(row, "resource")?,
        },
        operation_id: column(row, "operation_id")?,
        scope: column(row, "scope")?,
        metadata: column(row, "metadata")?,
        approved_at: column(row, "approved_at")?,
        expires_at: column(row, "expires_at")?,
    })
}
