//! What a connection holds, sealed at rest.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    crypto::{KeyRing, SealError, Secret, in_clear, in_clear_if_any},
    store::ConnectionKey,
    upstream::{
        ClientAuthentication,
        authorization::{AuthorizationServer, RegisteredClient},
    },
};

/// The secrets of a connection and what its refresh needs.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    #[serde(serialize_with = "in_clear")]
    pub(super) access_token: Secret,
    #[serde(serialize_with = "in_clear_if_any")]
    pub(super) refresh_token: Option<Secret>,
    pub(super) server: AuthorizationServer,
    pub(super) redirect_uri: String,
    /// The client of the metadata document, where the connection was made with that; no registration is kept for it.
    #[serde(default)]
    pub(super) document_client: Option<KeptClient>,
}

/// A person's own API key.
#[derive(Serialize, Deserialize)]
pub(super) struct HeldKey {
    #[serde(serialize_with = "in_clear")]
    pub(super) key: Secret,
}

/// A registration's details: the secret, and how it is presented.
#[derive(Clone, Serialize, Deserialize)]
pub(in crate::upstream) struct KeptClient {
    client_id: String,
    method: KeptMethod,
    #[serde(serialize_with = "in_clear_if_any")]
    secret: Option<Secret>,
    secret_expires_at: Option<i64>,
    #[serde(default)]
    document: bool,
}

#[derive(Clone, Serialize, Deserialize)]
enum KeptMethod {
    None,
    Basic,
    Post,
    PrivateKeyJwt,
}

impl From<&RegisteredClient> for KeptClient {
    fn from(client: &RegisteredClient) -> Self {
        let (method, secret) = match &client.authentication {
            ClientAuthentication::None => (KeptMethod::None, None),
            ClientAuthentication::SecretBasic(secret) => (KeptMethod::Basic, Some(secret)),
            ClientAuthentication::SecretPost(secret) => (KeptMethod::Post, Some(secret)),
            ClientAuthentication::PrivateKeyJwt => (KeptMethod::PrivateKeyJwt, None),
        };
        Self {
            client_id: client.client_id.clone(),
            method,
            secret: secret.cloned(),
            secret_expires_at: client.secret_expires_at.map(Timestamp::as_millis),
            document: client.document,
        }
    }
}

impl From<KeptClient> for RegisteredClient {
    fn from(kept: KeptClient) -> Self {
        Self {
            client_id: kept.client_id,
            authentication: match (kept.method, kept.secret) {
                (KeptMethod::Basic, Some(secret)) => ClientAuthentication::SecretBasic(secret),
                (KeptMethod::Post, Some(secret)) => ClientAuthentication::SecretPost(secret),
                (KeptMethod::PrivateKeyJwt, _) => ClientAuthentication::PrivateKeyJwt,
                _ => ClientAuthentication::None,
            },
            secret_expires_at: kept.secret_expires_at.map(Timestamp::from_millis),
            document: kept.document,
        }
    }
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
pub(in crate::upstream) fn seal(
    key_ring: &KeyRing,
    context: &str,
    value: &impl Serialize,
) -> Result<Vec<u8>, Unreadable> {
    let plain = Zeroizing::new(serde_json::to_vec(value)?);
    Ok(key_ring.seal(context, &plain))
}

/// Opens a value that was sealed for the same place.
pub(in crate::upstream) fn open<T: DeserializeOwned>(
    key_ring: &KeyRing,
    context: &str,
    sealed: &[u8],
) -> Result<T, Unreadable> {
    Ok(serde_json::from_slice(&key_ring.open(context, sealed)?)?)
}

/// The place of a registration's details.
pub(in crate::upstream) fn client_context(issuer: &str, redirect_uri: &str) -> String {
    format!("upstream_clients/{issuer}/{redirect_uri}")
}

/// The place of a key that signs.
pub(in crate::upstream) fn signing_key_context(purpose: &str) -> String {
    format!("signing_keys/{purpose}")
}

/// The place of a connection's tokens: moved to another person's row, they do not open.
pub(in crate::upstream) fn tokens_context(key: &ConnectionKey) -> String {
    key.sealing_context()
}
