//! Keys that sign, and the sealed values that a new sealing key has to reach.

use async_trait::async_trait;

use super::{ConnectionKey, Result};
use crate::clock::Timestamp;

/// A private key as it is kept: sealed with the key ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// What it signs; there is one key for each purpose.
    pub purpose: String,
    /// Its public name.
    pub key_id: String,
    /// The private key.
    pub sealed_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A kind of sealed values that are kept for longer than a sign-in takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedKind {
    /// The tokens of connections.
    Connections,
    /// The secrets of our registrations.
    UpstreamClients,
    /// The keys that sign.
    SigningKeys,
}

/// Where a sealed value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealedPlace {
    /// The tokens of this connection.
    Connection(ConnectionKey),
    /// The details of our registration at an issuer with a redirect URI.
    UpstreamClient {
        /// The issuer.
        issuer: String,
        /// The redirect URI.
        redirect_uri: String,
    },
    /// The key of this purpose.
    SigningKey(String),
}

/// A sealed value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedValue {
    /// Where it stands.
    pub place: SealedPlace,
    /// The value.
    pub sealed: Vec<u8>,
}

/// Keys that sign, and re-sealing.
#[async_trait]
pub trait Keys {
    /// The key of this purpose.
    async fn signing_key(&self, purpose: &str) -> Result<Option<SealedSigningKey>>;

    /// Keeps a key unless there is one for its purpose, and returns the one that is kept: of two replicas that make one
    /// at once, both go on with the same.
    async fn save_signing_key(&self, key: &SealedSigningKey) -> Result<SealedSigningKey>;

    /// Removes a key that does not open any more, if it is still this one.
    async fn remove_signing_key(&self, purpose: &str, key_id: &str) -> Result<()>;

    /// At most `limit` values that do not begin with `prefix`, in the order of their places, from behind `after`.
    ///
    /// A sealed value begins with the id of its key, so that is what another key sealed.
    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        prefix: &[u8],
        after: Option<&SealedPlace>,
        limit: u32,
    ) -> Result<Vec<SealedValue>>;

    /// Puts `resealed` in the place of a value, if that is still there; false if somebody replaced it meanwhile.
    async fn reseal(&self, value: &SealedValue, resealed: &[u8]) -> Result<bool>;
}
