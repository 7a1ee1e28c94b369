//! Client authentication with a signed assertion, `private_key_jwt` (RFC 7523 section 2.2, RFC 7521 section 4.2).

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use thiserror::Error;

use super::{AuthorizationClient, AuthorizationServer, RegisteredClient};
use crate::{
    crypto::{Secret, SigningError, SigningKey, random_token},
    store,
    upstream::ClientAuthentication,
};

/// Where the key comes from that proves who we are at authorization servers.
#[async_trait]
pub trait ClientKeys: Send + Sync + 'static {
    /// The key, made if there is none yet.
    async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyError>;
}

/// Why there is no key, or no assertion.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The key cannot be made or used.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Whom an assertion is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// The issuer, which nobody else can name: its metadata was fetched from it.
    Issuer,
    /// The token endpoint, where the assertion is sent; what Entra and Okta want.
    TokenEndpoint,
}

impl Audience {
    /// The audiences to try in turn. What is rejected for its audience was not looked at further, so nothing is spent.
    pub(super) const fn of(client: &RegisteredClient) -> &'static [Self] {
        match client.authentication {
            ClientAuthentication::PrivateKeyJwt => &[Self::Issuer, Self::TokenEndpoint],
            _ => &[Self::Issuer],
        }
    }
}

impl AuthorizationClient {
    /// What the client proves itself with, where that is an assertion.
    pub(super) async fn proof(
        &self,
        server: &AuthorizationServer,
        client: &RegisteredClient,
        audience: Audience,
    ) -> Result<Option<Secret>, KeyError> {
        if !matches!(client.authentication, ClientAuthentication::PrivateKeyJwt) {
            return Ok(None);
        }
        let audience = match audience {
            Audience::Issuer => server.issuer.as_str(),
            Audience::TokenEndpoint => server.token_endpoint.as_str(),
        };
        let now = self.clock.now();
        let claims = json!({
            "iss": client.client_id,
            "sub": client.client_id,
            "aud": audience,
            "iat": now.as_seconds(),
            "exp": now.plus(LIFETIME).as_seconds(),
            "jti": random_token(""),
        });
        Ok(Some(self.keys.signing_key().await?.sign(&claims)?))
    }
}

/// RFC 7521 section 4.2.
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Long enough for clocks that differ by some seconds.
const LIFETIME: Duration = Duration::from_mins(1);
