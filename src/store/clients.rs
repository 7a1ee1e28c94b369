//! Registered OAuth clients.

use async_trait::async_trait;

use super::Result;
pub use crate::oauth::{AuthMethod, ClientId, ClientKeys};
use crate::{clock::Timestamp, crypto::Digest};

/// An OAuth client that registered itself (RFC 7591).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// The name it chose; nothing proves it.
    pub name: Option<String>,
    /// A page about it that it chose; nothing proves it.
    pub uri: Option<String>,
    /// Where authorization responses may go, as registered.
    pub redirect_uris: Vec<String>,
    /// How it authenticates.
    pub auth_method: AuthMethod,
    /// The digest of its secret, for the methods that have one.
    pub secret_digest: Option<Digest>,
    /// Its public keys, for the method that has them.
    pub keys: Option<ClientKeys>,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it last began an authorization or asked for a token.
    pub last_used_at: Timestamp,
}

/// Registered clients.
#[async_trait]
pub trait Clients {
    /// Keeps a new client. Identifiers are random, so a collision is an error.
    async fn create_client(&self, client: &Client) -> Result<()>;

    /// The client of that identifier.
    async fn client(&self, id: &ClientId) -> Result<Option<Client>>;

    /// Notes that the client was used; never moves the time backwards.
    async fn touch_client(&self, id: &ClientId, now: Timestamp) -> Result<()>;
}
