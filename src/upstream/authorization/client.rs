//! Who we are at an upstream's authorization server, and the client that talks to it.

use std::{fmt, sync::Arc, time::Duration};

use super::assertion::{ASSERTION_TYPE, ClientKeys, KeyError};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{Secret, SigningKey},
    outbound::{self, Authorization, Limits},
    upstream::{ClientAuthentication, Registration},
};

/// Talks to the authorization servers of upstreams: registers, exchanges, refreshes, revokes.
///
/// Nothing is sent twice by itself; whether to try again is the caller's decision.
#[derive(Clone)]
pub struct AuthorizationClient {
    pub(super) client: outbound::Client,
    pub(super) keys: Arc<dyn ClientKeys>,
    pub(super) clock: Clock,
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
    /// Whether the client id is the URL of our own metadata document, which every authorization server may know.
    pub document: bool,
}

impl AuthorizationClient {
    /// A client that fetches through `client`, and signs with the key of `keys`.
    pub fn new(client: outbound::Client, keys: Arc<dyn ClientKeys>, clock: Clock) -> Self {
        Self { client, keys, clock }
    }
}

impl AuthorizationClient {
    /// The key that proves who we are, whose public half is published.
    pub async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyError> {
        self.keys.signing_key().await
    }
}

impl fmt::Debug for AuthorizationClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthorizationClient(..)")
    }
}

impl RegisteredClient {
    /// The client that the operator registered; none if it registers itself.
    pub fn manual(registration: &Registration) -> Option<Self> {
        match registration {
            Registration::Auto | Registration::Dynamic => None,
            Registration::Manual { client_id, authentication, .. } => Some(Self {
                client_id: client_id.clone(),
                authentication: authentication.clone(),
                secret_expires_at: None,
                document: false,
            }),
        }
    }

    /// Presents the client in a request (RFC 6749 section 2.3): in `form`, or in what comes back, never in both.
    ///
    /// `proof` is the assertion of a client that signs.
    pub(super) fn present<'a>(
        &'a self,
        proof: Option<&'a Secret>,
        form: &mut Vec<(&'a str, &'a str)>,
    ) -> Authorization<'a> {
        match &self.authentication {
            ClientAuthentication::None => form.push(("client_id", &self.client_id)),
            ClientAuthentication::SecretPost(secret) => {
                form.extend([("client_id", self.client_id.as_str()), ("client_secret", secret.expose())]);
            }
            ClientAuthentication::PrivateKeyJwt => {
                form.push(("client_id", &self.client_id));
                form.extend(proof.into_iter().flat_map(|proof| {
                    [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", proof.expose())]
                }));
            }
            ClientAuthentication::SecretBasic(secret) => {
                return Authorization::Basic { client_id: &self.client_id, client_secret: secret.expose() };
            }
        }
        Authorization::None
    }
}

pub(super) const LIMITS: Limits = Limits { body: 256 * 1024, timeout: Duration::from_secs(10) };
