//! Where the provider's endpoints are and what it can do.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::{Endpoints, Error};
use crate::outbound::{self, Limits};

/// The members of a discovery document that are used (Discovery section 3, RFC 9207 section 3).
#[derive(Debug, Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What a login needs to know about the provider.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) authorize: Url,
    pub(super) token: Url,
    pub(super) jwks: Url,
    /// The `UserInfo` endpoint, if there is one.
    pub(super) userinfo: Option<Url>,
    /// Whether discovery advertises PKCE with S256.
    pub(super) offers_s256: bool,
    /// Where the token endpoint takes a client secret, as far as it says.
    pub(super) secret_in: SecretIn,
    /// Whether every authorization response names its issuer.
    pub(super) names_issuer: bool,
}

/// Where a token endpoint takes a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretIn {
    /// `client_secret_basic` only.
    Header,
    /// `client_secret_post` only.
    Body,
    /// It takes both, or does not say.
    Either,
}

impl Metadata {
    /// The metadata of a provider whose endpoints are all configured: nothing is discovered then.
    pub(super) fn configured(endpoints: &Endpoints) -> Option<Self> {
        let Endpoints { authorize: Some(authorize), token: Some(token), jwks: Some(jwks), userinfo } =
            endpoints.clone()
        else {
            return None;
        };
        let secret_in = SecretIn::Either;
        Some(Self { authorize, token, jwks, userinfo, offers_s256: false, secret_in, names_issuer: false })
    }

    /// Fetches and checks the discovery document; configured endpoints win over those of the document.
    pub(super) async fn discover(
        client: &outbound::Client,
        url: &Url,
        issuer: &str,
        endpoints: &Endpoints,
        limits: Limits,
    ) -> Result<Self, Error> {
        let fetched = client.get_json::<Document>(url, limits).await;
        let document = fetched.map_err(|error| Error::Discovery(Arc::new(error)))?.body;
        // Discovery section 4.3: identical, not just equivalent.
        if document.issuer != issuer {
            return Err(mismatch(issuer, &document.issuer));
        }
        let endpoint = |configured: &Option<Url>, member, discovered: Option<String>| match configured {
            Some(url) => Ok(url.clone()),
            None => usable(discovered, url.scheme()).ok_or(Error::Endpoint { member }),
        };
        let methods = document.token_endpoint_auth_methods_supported.unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|one| one == method);
        let secret_in = match (takes("client_secret_basic"), takes("client_secret_post")) {
            (true, false) => SecretIn::Header,
            (false, true) => SecretIn::Body,
            _ => SecretIn::Either,
        };
        Ok(Self {
            authorize: endpoint(&endpoints.authorize, "authorization_endpoint", document.authorization_endpoint)?,
            token: endpoint(&endpoints.token, "token_endpoint", document.token_endpoint)?,
            jwks: endpoint(&endpoints.jwks, "jwks_uri", document.jwks_uri)?,
            userinfo: endpoints.userinfo.clone().or_else(|| usable(document.userinfo_endpoint, url.scheme())),
            offers_s256: document.code_challenge_methods_supported.unwrap_or_default().iter().any(|one| one == "S256"),
            secret_in,
            names_issuer: document.authorization_response_iss_parameter_supported,
        })
    }
}

/// The URL of the discovery document (Discovery section 4.1).
pub(super) fn discovery_url(issuer: &str) -> Result<Url, url::ParseError> {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')).parse()
}

/// A document that is about another issuer than the configured one.
pub(super) fn mismatch(configured: &str, announced: &str) -> Error {
    Error::IssuerMismatch { configured: configured.to_owned(), announced: announced.chars().take(MAX_LOGGED).collect() }
}

/// An endpoint must be https, or have the scheme that the document itself came by.
pub(super) fn usable(endpoint: Option<String>, scheme: &str) -> Option<Url> {
    let url: Url = endpoint?.parse().ok()?;
    (url.has_host() && (url.scheme() == "https" || url.scheme() == scheme)).then_some(url)
}

const MAX_LOGGED: usize = 200;
