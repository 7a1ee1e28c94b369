//! Signing keys in SQLite, and the sealed values that a new sealing key has to reach.

use async_trait::async_trait;
use rusqlite::{Row, params};

use super::{
    SqliteStore,
    statement::{all, column, execute, first},
};
use crate::store::{ConnectionKey, Error, Keys, Result, SealedKind, SealedPlace, SealedSigningKey, SealedValue};

#[async_trait]
impl Keys for SqliteStore {
    async fn signing_key(&self, purpose: &str) -> Result<Option<SealedSigningKey>> {
        let purpose = purpose.to_owned();
        self.read(move |connection| {
            first(
                connection,
                "SELECT purpose, key_id, sealed_key, created_at FROM signing_keys WHERE purpose = ?1",
                params![purpose],
                signing_key,
            )
        })
        .await
    }

    async fn save_signing_key(&self, key: &SealedSigningKey) -> Result<SealedSigningKey> {
        let key = key.clone();
        self.write(move |connection| {
            let kept = first(
                connection,
                "INSERT INTO signing_keys (purpose, key_id, sealed_key, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (purpose) DO UPDATE SET key_id = signing_keys.key_id
                 RETURNING purpose, key_id, sealed_key, created_at",
                params![key.purpose, key.key_id, key.sealed_key, key.created_at],
                signing_key,
            )?;
            kept.ok_or(Error::Corrupt { what: "signing_keys", source: None })
        })
        .await
    }

    async fn remove_signing_key(&self, purpose: &str, key_id: &str) -> Result<()> {
        let (purpose, key_id) = (purpose.to_owned(), key_id.to_owned());
        self.write(move |connection| {
            execute(connection, "DELETE FROM signing_keys WHERE purpose = ?1 AND key_id = ?2", params![purpose, key_id])
                .map(drop)
        })
        .await
    }

    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        prefix: &[u8],
        after: Option<&SealedPlace>,
        limit: u32,
    ) -> Result<Vec<SealedValue>> {
        let (prefix, after) = (prefix.to_vec(), after.cloned());
        self.read(move |connection| match kind {
            SealedKind::Connections => {
                let (owner, upstream_id) = match &after {
                    Some(SealedPlace::Connection(key)) => (key.owner.to_stored(), key.upstream_id.as_str()),
                    _ => (String::new(), ""),
                };
                all(
                    connection,
                    "SELECT owner, upstream_id, sealed_tokens AS sealed FROM connections
                     WHERE (owner, upstream_id) > (?1, ?2) AND substr(sealed_tokens, 1, length(?3)) <> ?3
                     ORDER BY owner, upstream_id LIMIT ?4",
                    params![owner, upstream_id, prefix, limit],
                    |row| {
                        let key =
                            ConnectionKey { owner: column(row, "owner")?, upstream_id: column(row, "upstream_id")? };
                        value(row, SealedPlace::Connection(key))
                    },
                )
            }
            SealedKind::UpstreamClients => {
                let (issuer, redirect_uri) = match &after {
                    Some(SealedPlace::UpstreamClient { issuer, redirect_uri }) => (&**issuer, &**redirect_uri),
                    _ => ("", ""),
                };
                all(
                    connection,
                    "SELECT issuer, redirect_uri, sealed_details AS sealed FROM upstream_clients
                     WHERE (issuer, redirect_uri) > (?1, ?2) AND substr(sealed_details, 1, length(?3)) <> ?3
                     ORDER BY issuer, redirect_uri LIMIT ?4",
                    params![issuer, redirect_uri, prefix, limit],
                    |row| {
                        let (issuer, redirect_uri) = (column(row, "issuer")?, column(row, "redirect_uri")?);
                        value(row, SealedPlace::UpstreamClient { issuer, redirect_uri })
                    },
                )
            }
            SealedKind::SigningKeys => {
                let purpose = match &after {
                    Some(SealedPlace::SigningKey(purpose)) => purpose,
                    _ => "",
                };
                all(
                    connection,
                    "SELECT purpose, sealed_key AS sealed FROM signing_keys
                     WHERE purpose > ?1 AND substr(sealed_key, 1, length(?2)) <> ?2
                     ORDER BY purpose LIMIT ?3",
                    params![purpose, prefix, limit],
                    |row| value(row, SealedPlace::SigningKey(column(row, "purpose")?)),
                )
            }
        })
        .await
    }

    async fn reseal(&self, value: &SealedValue, resealed: &[u8]) -> Result<bool> {
        let (value, resealed) = (value.clone(), resealed.to_vec());
        self.write(move |connection| {
            let SealedValue { place, sealed } = &value;
            let changed = match place {
                SealedPlace::Connection(key) => execute(
                    connection,
                    "UPDATE connections SET sealed_tokens = ?4
                     WHERE owner = ?1 AND upstream_id = ?2 AND sealed_tokens = ?3",
                    params![key.owner, key.upstream_id, sealed, resealed],
                ),
                SealedPlace::UpstreamClient { issuer, redirect_uri } => execute(
                    connection,
                    "UPDATE upstream_clients SET sealed_details = ?4
                     WHERE issuer = ?1 AND redirect_uri = ?2 AND sealed_details = ?3",
                    params![issuer, redirect_uri, sealed, resealed],
                ),
                SealedPlace::SigningKey(purpose) => execute(
                    connection,
                    "UPDATE signing_keys SET sealed_key = ?3 WHERE purpose = ?1 AND sealed_key = ?2",
                    params![purpose, sealed, resealed],
                ),
            };
            changed.map(|changed| changed > 0)
        })
        .await
    }
}

fn signing_key(row: &Row<'_>) -> Result<SealedSigningKey> {
    Ok(SealedSigningKey {
        purpose: column(row, "purpose")?,
        key_id: column(row, "key_id")?,
        sealed_key: column(row, "sealed_key")?,
        created_at: column(row, "created_at")?,
    })
}

fn value(row: &Row<'_>, place: SealedPlace) -> Result<SealedValue> {
    Ok(SealedValue { place, sealed: column(row, "sealed")? })
}
