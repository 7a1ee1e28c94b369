//! Signing keys in PostgreSQL, and the sealed values that a new sealing key has to reach.

use async_trait::async_trait;
use tokio_postgres::Row;

use super::{
    PostgresStore,
    statement::{all, column, execute, first},
};
use crate::store::{ConnectionKey, Error, Keys, Result, SealedKind, SealedPlace, SealedSigningKey, SealedValue};

#[async_trait]
impl Keys for PostgresStore {
    async fn signing_key(&self, purpose: &str) -> Result<Option<SealedSigningKey>> {
        first(
            &self.pool,
            "SELECT purpose, key_id, sealed_key, created_at FROM signing_keys WHERE purpose = $1",
            &[&purpose],
            signing_key,
        )
        .await
    }

    async fn save_signing_key(&self, key: &SealedSigningKey) -> Result<SealedSigningKey> {
        let kept = first(
            &self.pool,
            "INSERT INTO signing_keys (purpose, key_id, sealed_key, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (purpose) DO UPDATE SET key_id = signing_keys.key_id
             RETURNING purpose, key_id, sealed_key, created_at",
            &[&key.purpose, &key.key_id, &key.sealed_key, &key.created_at],
            signing_key,
        )
        .await?;
        kept.ok_or(Error::Corrupt { what: "signing_keys", source: None })
    }

    async fn remove_signing_key(&self, purpose: &str, key_id: &str) -> Result<()> {
        execute(&self.pool, "DELETE FROM signing_keys WHERE purpose = $1 AND key_id = $2", &[&purpose, &key_id])
            .await
            .map(drop)
    }

    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        prefix: &[u8],
        after: Option<&SealedPlace>,
        limit: u32,
    ) -> Result<Vec<SealedValue>> {
        let limit = i64::from(limit);
        match kind {
            SealedKind::Connections => {
                let (owner, upstream_id) = match after {
                    Some(SealedPlace::Connection(key)) => (key.owner.to_stored(), key.upstream_id.as_str()),
                    _ => (String::new(), ""),
                };
                all(
                    &self.pool,
                    "SELECT owner, upstream_id, sealed_tokens AS sealed FROM connections
                     WHERE (owner, upstream_id) > ($1, $2) AND substr(sealed_tokens, 1, length($3::bytea)) <> $3::bytea
                     ORDER BY owner, upstream_id LIMIT $4",
                    &[&owner, &upstream_id, &prefix, &limit],
                    |row| {
                        let key =
                            ConnectionKey { owner: column(row, "owner")?, upstream_id: column(row, "upstream_id")? };
                        value(row, SealedPlace::Connection(key))
                    },
                )
                .await
            }
            SealedKind::UpstreamClients => {
                let (issuer, redirect_uri) = match after {
                    Some(SealedPlace::UpstreamClient { issuer, redirect_uri }) => (&**issuer, &**redirect_uri),
                    _ => ("", ""),
                };
                all(
                    &self.pool,
                    "SELECT issuer, redirect_uri, sealed_details AS sealed FROM upstream_clients
                     WHERE (issuer, redirect_uri) > ($1, $2) AND substr(sealed_details, 1, length($3::bytea)) <> $3::bytea
                     ORDER BY issuer, redirect_uri LIMIT $4",
                    &[&issuer, &redirect_uri, &prefix, &limit],
                    |row| {
                        let (issuer, redirect_uri) = (column(row, "issuer")?, column(row, "redirect_uri")?);
                        value(row, SealedPlace::UpstreamClient { issuer, redirect_uri })
                    },
                )
                .await
            }
            SealedKind::SigningKeys => {
                let purpose = match after {
                    Some(SealedPlace::SigningKey(purpose)) => purpose,
                    _ => "",
                };
                all(
                    &self.pool,
                    "SELECT purpose, sealed_key AS sealed FROM signing_keys
                     WHERE purpose > $1 AND substr(sealed_key, 1, length($2::bytea)) <> $2::bytea
                     ORDER BY purpose LIMIT $3",
                    &[&purpose, &prefix, &limit],
                    |row| value(row, SealedPlace::SigningKey(column(row, "purpose")?)),
                )
                .await
            }
        }
    }

    async fn reseal(&self, value: &SealedValue, resealed: &[u8]) -> Result<bool> {
        let SealedValue { place, sealed } = value;
        let changed = match place {
            SealedPlace::Connection(key) => {
                execute(
                    &self.pool,
                    "UPDATE connections SET sealed_tokens = $4
                     WHERE owner = $1 AND upstream_id = $2 AND sealed_tokens = $3",
                    &[&key.owner, &key.upstream_id, sealed, &resealed],
                )
                .await?
            }
            SealedPlace::UpstreamClient { issuer, redirect_uri } => {
                execute(
                    &self.pool,
                    "UPDATE upstream_clients SET sealed_details = $4
                     WHERE issuer = $1 AND redirect_uri = $2 AND sealed_details = $3",
                    &[issuer, redirect_uri, sealed, &resealed],
                )
                .await?
            }
            SealedPlace::SigningKey(purpose) => {
                execute(
                    &self.pool,
                    "UPDATE signing_keys SET sealed_key = $3 WHERE purpose = $1 AND sealed_key = $2",
                    &[purpose, sealed, &resealed],
                )
                .await?
            }
        };
        Ok(changed > 0)
    }
}

fn signing_key(row: &Row) -> Result<SealedSigningKey> {
    Ok(SealedSigningKey {
        purpose: column(row, "purpose")?,
        key_id: column(row, "key_id")?,
        sealed_key: column(row, "sealed_key")?,
        created_at: column(row, "created_at")?,
    })
}

fn value(row: &Row, place: SealedPlace) -> Result<SealedValue> {
    Ok(SealedValue { place, sealed: column(row, "sealed")? })
}
