//! The names of clients, and the ways in which they prove who they are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A client identifier as it travels (RFC 6749 section 2.2); registered ones look like `dcr:…`, those
/// of metadata documents are https URLs.
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
    /// An assertion signed with the client's private key (RFC 7523 section 2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Whether a client of this method has a secret to present.
    pub const fn has_secret(self) -> bool {
        match self {
            Self::None | Self::PrivateKeyJwt => false,
            Self::ClientSecretBasic | Self::ClientSecretPost => true,
        }
    }

    /// The name in metadata documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }
}
