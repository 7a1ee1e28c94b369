//! The authorization server of an upstream, checked.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{discovery::Error, documents::ServerMetadata, fault::loggable, well_known::same_issuer};
use crate::oauth::metadata::ID_JAG;

/// The authorization server of an upstream, and what the upstream says about itself.
///
/// It can be serialized, so that a flow keeps the very server that it began with: code and tokens go nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationServer {
    /// The issuer as its metadata spells it; `iss` must be equal to it.
    pub issuer: String,
    /// Where the browser is sent to.
    pub authorization_endpoint: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: Url,
    /// Where clients register (RFC 7591), if they may.
    pub registration_endpoint: Option<Url>,
    /// Where tokens are revoked (RFC 7009), if they can be.
    pub revocation_endpoint: Option<Url>,
    /// The methods of client authentication at the token endpoint; empty if the server does not say.
    pub token_endpoint_auth_methods: Vec<String>,
    /// The algorithms of signed client authentication; empty if the server does not say.
    #[serde(default)]
    pub token_endpoint_auth_signing_algs: Vec<String>,
    /// The scopes that the authorization server knows.
    pub scopes_supported: Vec<String>,
    /// The scopes that the upstream's own metadata names.
    pub prm_scopes: Vec<String>,
    /// The scope of the upstream's challenge.
    pub challenge_scope: Option<String>,
    /// The upstream's identifier, as it spells it; else its URL.
    pub resource: String,
    /// Whether it promises `iss` in every authorization response (RFC 9207).
    pub iss_supported: bool,
    /// Whether it takes the URL of a metadata document as a client id.
    pub cimd_supported: bool,
    /// Whether it redeems identity assertions (ID-JAG).
    #[serde(default)]
    pub takes_id_jag: bool,
}

/// What is known of the upstream itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) resource: String,
    pub(super) scopes: Vec<String>,
    pub(super) challenge_scope: Option<String>,
}

impl AuthorizationServer {
    /// Whether it says that it takes this method of client authentication.
    pub fn offers_method(&self, method: &str) -> bool {
        self.token_endpoint_auth_methods.iter().any(|offered| offered == method)
    }

    /// Whether it takes assertions that are signed as ours are.
    pub fn takes_es256(&self) -> bool {
        let algs = &self.token_endpoint_auth_signing_algs;
        algs.is_empty() || algs.iter().any(|alg| alg == "ES256")
    }

    /// Checks the metadata of the issuer that was asked for (RFC 8414 section 3.3).
    pub(super) fn check(
        metadata: ServerMetadata,
        expected_issuer: &str,
        issuer_url: &Url,
        upstream: &Upstream,
        assume_pkce: bool,
    ) -> Result<Self, Error> {
        let host = || issuer_url.host_str().unwrap_or_default().to_owned();
        let announced = metadata.issuer.unwrap_or_default();
        if !same_issuer(expected_issuer, &announced) {
            return Err(Error::IssuerMismatch { expected: loggable(expected_issuer), announced: loggable(&announced) });
        }
        let endpoint = |text: Option<String>| text.and_then(|text| usable(&text, issuer_url));
        let required = |text, member| endpoint(text).ok_or_else(|| Error::Endpoint { host: host(), member });
        let server = Self {
            issuer: announced,
            authorization_endpoint: required(metadata.authorization_endpoint, "authorization_endpoint")?,
            token_endpoint: required(metadata.token_endpoint, "token_endpoint")?,
            registration_endpoint: endpoint(metadata.registration_endpoint),
            revocation_endpoint: endpoint(metadata.revocation_endpoint),
            token_endpoint_auth_methods: metadata.token_endpoint_auth_methods_supported,
            token_endpoint_auth_signing_algs: metadata.token_endpoint_auth_signing_alg_values_supported,
            scopes_supported: metadata.scopes_supported,
            prm_scopes: upstream.scopes.clone(),
            challenge_scope: upstream.challenge_scope.clone(),
            resource: upstream.resource.clone(),
            iss_supported: metadata.authorization_response_iss_parameter_supported,
            cimd_supported: metadata.client_id_metadata_document_supported,
            takes_id_jag: metadata.authorization_grant_profiles_supported.iter().any(|profile| profile == ID_JAG),
        };
        let announced = &metadata.code_challenge_methods_supported;
        // Only silence can be assumed to mean S256; a list without it says that there is none.
        if announced.iter().any(|method| method == "S256") || assume_pkce && announced.is_empty() {
            Ok(server)
        } else {
            Err(Error::NoPkce { host: host() })
        }
    }
}

/// An endpoint is https; or http like its issuer, whom the guard lets through in the operator's networks only.
fn usable(text: &str, issuer: &Url) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let scheme = url.scheme() == "https" || url.scheme() == "http" && issuer.scheme() == "http";
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (scheme && plain && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CL-09: an allow-list of schemes.
    #[test]
    fn endpoints_are_plain_https_urls() {
        let issuer = Url::parse("https://as.example").unwrap();
        assert!(usable("https://other.example/authorize?tenant=1", &issuer).is_some());
        for text in [
            "",
            "/authorize",
            "http://as.example/authorize",
            "javascript:alert(1)//https://as.example",
            "JavaScript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "vbscript:x",
            "blob:https://as.example/1",
            "ftp://as.example/",
            "https://user:pw@as.example/",
            "https://as.example/#fragment",
        ] {
            assert_eq!(usable(text, &issuer), None, "{text}");
        }
    }

    #[test]
    fn an_issuer_in_the_operators_networks_may_have_plain_http_endpoints() {
        let issuer = Url::parse("http://127.0.0.1:9000").unwrap();
        assert!(usable("http://127.0.0.1:9000/authorize", &issuer).is_some());
        assert!(usable("javascript:alert(1)", &issuer).is_none());
    }
}
