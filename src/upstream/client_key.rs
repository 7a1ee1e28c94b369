//! The key with which the gateway proves who it is at authorization servers; one for all replicas.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use thiserror::Error;
use tokio::sync::Mutex;

use super::{
    authorization::{ClientKeys, KeyError},
    connections::sealed::signing_key_context,
};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{KeyRing, SealError, SigningError, SigningKey},
    store::{SealedSigningKey, Store},
    telemetry::causes,
};

/// The gateway's own key: made at first use, kept sealed, and shared by all replicas.
pub struct ClientKey {
    store: Arc<dyn Store>,
    key_ring: Arc<KeyRing>,
    clock: Clock,
    kept: Mutex<Option<(Arc<SigningKey>, Timestamp)>>,
}

impl ClientKey {
    /// The key that `store` keeps, or will keep.
    pub fn new(store: Arc<dyn Store>, key_ring: Arc<KeyRing>, clock: Clock) -> Self {
        Self { store, key_ring, clock, kept: Mutex::default() }
    }

    /// Of two replicas that make a key at once both go on with the one that was kept first. One that does not open any
    /// more, because the key that sealed it is gone, makes room for a new one.
    async fn load_or_make(&self) -> Result<Arc<SigningKey>, KeyError> {
        if let Some(kept) = self.store.signing_key(PURPOSE).await? {
            match self.opened(&kept) {
                Ok(key) => return Ok(Arc::new(key)),
                Err(error) => {
                    tracing::error!(event = "mcp_auth_client_key_unreadable", error = %causes(&error), keyId = kept.key_id,
                        "the key that proves who we are does not open and is made anew");
                    self.store.remove_signing_key(PURPOSE, &kept.key_id).await?;
                }
            }
        }
        let document = SigningKey::generate()?;
        let made = SigningKey::from_pkcs8(&document)?;
        let kept = SealedSigningKey {
            purpose: PURPOSE.to_owned(),
            key_id: made.id().to_owned(),
            sealed_key: self.key_ring.seal(&signing_key_context(PURPOSE), &document),
            created_at: self.clock.now(),
        };
        let kept = self.store.save_signing_key(&kept).await?;
        if kept.key_id == made.id() {
            tracing::info!(
                event = "mcp_auth_client_key_made",
                keyId = kept.key_id,
                "a key that proves who we are was made"
            );
            return Ok(Arc::new(made));
        }
        self.opened(&kept).map(Arc::new).map_err(|error| {
            tracing::error!(event = "mcp_auth_client_key_unreadable", error = %causes(&error), keyId = kept.key_id,
                "the key of another replica does not open");
            SigningError::Key.into()
        })
    }

    fn opened(&self, kept: &SealedSigningKey) -> Result<SigningKey, Unusable> {
        let document = self.key_ring.open(&signing_key_context(&kept.purpose), &kept.sealed_key)?;
        Ok(SigningKey::from_pkcs8(&document)?)
    }
}

#[async_trait]
impl ClientKeys for ClientKey {
    async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyError> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Some((key, until)) = &*kept
            && until.is_to_come(BELIEVED, now)
        {
            return Ok(Arc::clone(key));
        }
        let key = self.load_or_make().await?;
        *kept = Some((Arc::clone(&key), now.plus(BELIEVED)));
        Ok(key)
    }
}

/// Why a kept key is of no use.
#[derive(Debug, Error)]
enum Unusable {
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It opens, and is no key.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// The one key that there is.
const PURPOSE: &str = "upstreams";
/// How long a key that another replica had to make anew may still be used.
const BELIEVED: Duration = Duration::from_mins(1);
