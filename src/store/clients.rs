//! Registered OAuth clients.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::{clock::Timestamp, crypto::Digest};

/// A client identifier as it travels (RFC 6749 section 2.2); registered ones look like `dcr:…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// Takes an identifier as it came.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The identifier as it travels.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a client proves who it is at the token endpoint (RFC 7591 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client.
    None,
    /// HTTP Basic.
    ClientSecretBasic,
    /// Parameters in the body.
    ClientSecretPost,
}

impl AuthMethod {
    /// The name in metadata documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
        }
    }
}

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
