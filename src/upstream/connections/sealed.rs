//! What a connection holds, sealed at rest.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    crypto::{KeyRing, SealError},
    store::{ConnectionKey, Owner},
    upstream::authorization::AuthorizationServer,
};

/// The secrets of a connection and what its refresh needs.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) server: AuthorizationServer,
    pub(super) redirect_uri: String,
}

/// Why a value cannot be sealed, or a kept one cannot be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It opens, and is not what it should be.
    #[error("a sealed value is not what it should be")]
    Json(#[from] serde_json::Error),
}

/// Seals a value for the place that `context` names.
pub(in crate::upstream) fn seal(key_ring: &KeyRing, context: &str, value: &impl Serialize) -> Result<Vec<u8>, Unreadable> {
    let plain = Zeroizing::new(serde_json::to_vec(value)?);
    Ok(key_ring.seal(context, &plain))
}

/// Opens a value that was sealed for the same place.
pub(in crate::upstream) fn open<T: DeserializeOwned>(key_ring: &KeyRing, context: &str, sealed: &[u8]) -> Result<T, Unreadable> {
    Ok(serde_json::from_slice(&key_ring.open(context, sealed)?)?)
}

/// The place of a connection's tokens: moved to another person's row, they do not open.
pub(super) fn tokens_context(key: &ConnectionKey) -> String {
    match &key.owner {
        Owner::User(subject) => format!("connections/tokens/user/{subject}/{}", key.upstream_id),
        Owner::Shared => format!("connections/tokens/shared/{}", key.upstream_id),
    }
}
