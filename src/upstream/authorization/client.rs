//! Who we are at an upstream's authorization server, and the client that talks to it.

use std::time::Duration;

use crate::{
    clock::Timestamp,
    outbound::{self, Authorization, Limits},
    upstream::{ClientAuthentication, Registration},
};

/// Talks to the authorization servers of upstreams: registers, exchanges, refreshes, revokes.
///
/// Nothing is sent twice by itself; whether to try again is the caller's decision.
#[derive(Debug, Clone)]
pub struct AuthorizationClient {
    pub(super) client: outbound::Client,
}

/// The gateway as a client of one authorization server. It must never be presented to another issuer.
#[derive(Debug, Clone)]
pub struct RegisteredClient {
    /// The client id.
    pub client_id: String,
    /// How it authenticates at the token and revocation endpoints.
    pub authentication: ClientAuthentication,
    /// When the secret ends, if it does; the authorization server then says `invalid_client`.
    pub secret_expires_at: Option<Timestamp>,
}

impl AuthorizationClient {
    /// A client that fetches through `client`.
    pub const fn new(client: outbound::Client) -> Self {
        Self { client }
    }
}

impl RegisteredClient {
    /// The client that the operator registered; none if it registers itself.
    pub fn manual(registration: &Registration) -> Option<Self> {
        match registration {
            Registration::Auto => None,
            Registration::Manual { client_id, authentication } => Some(Self {
                client_id: client_id.clone(),
                authentication: authentication.clone(),
                secret_expires_at: None,
            }),
        }
    }

    /// Presents the client in a request (RFC 6749 section 2.3): in `form`, or in what comes back, never in both.
    pub(super) fn present<'a>(&'a self, form: &mut Vec<(&'a str, &'a str)>) -> Authorization<'a> {
        match &self.authentication {
            ClientAuthentication::None => form.push(("client_id", &self.client_id)),
            ClientAuthentication::SecretPost(secret) => {
                form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret.expose())]);
            }
            ClientAuthentication::SecretBasic(secret) => {
                return Authorization::Basic { client_id: &self.client_id, client_secret: secret.expose() };
            }
        }
        Authorization::None
    }
}

pub(super) const LIMITS: Limits = Limits { body: 256 * 1024, timeout: Duration::from_secs(10) };
