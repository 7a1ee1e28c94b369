//! What the gateway needs to know to be the OAuth client of one upstream.

use std::collections::BTreeMap;

use url::Url;

use crate::crypto::Secret;

/// How the gateway is the OAuth client of an upstream.
#[derive(Debug, Clone)]
pub struct OauthSettings {
    /// How it becomes a client.
    pub registration: Registration,
    /// The scopes to ask for; empty: what the upstream names.
    pub scopes: Vec<String>,
    /// What separates scopes in the request.
    pub scope_delimiter: String,
    /// The `prompt` of the authorization request.
    pub prompt: Prompt,
    /// Further parameters of the authorization request, by name; none is one of the gateway's own.
    pub authorization_parameters: BTreeMap<String, String>,
    /// The `resource` parameter (RFC 8707).
    pub resource: Resource,
    /// Where the protected resource metadata is, if it is not to be discovered.
    pub protected_resource_metadata_url: Option<Url>,
    /// Whether an authorization server that does not say how it checks PKCE is taken to check it with `S256`.
    pub assume_pkce: bool,
}

/// How the gateway becomes a client of the upstream's authorization server.
#[derive(Debug, Clone)]
pub enum Registration {
    /// With its Client ID Metadata Document where the authorization server takes that and can read it, else by dynamic
    /// registration.
    Auto,
    /// By dynamic registration (RFC 7591).
    Dynamic,
    /// The operator registered it.
    Manual {
        /// The client id.
        client_id: String,
        /// How it authenticates at the token endpoint.
        authentication: ClientAuthentication,
        /// The authorization server that it is for. Unset: the one that is found first.
        issuer: Option<String>,
    },
}

/// Client authentication at a token endpoint.
#[derive(Debug, Clone)]
pub enum ClientAuthentication {
    /// `none`: a public client.
    None,
    /// `client_secret_basic`.
    SecretBasic(Secret),
    /// `client_secret_post`.
    SecretPost(Secret),
    /// `private_key_jwt`, with the gateway's own key.
    PrivateKeyJwt,
}

/// The `prompt` of an authorization request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// `consent` where `offline_access` is asked for, else no parameter.
    Auto,
    /// No parameter, ever.
    Never,
    /// Always this value.
    Always(&'static str),
}

/// The `resource` parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// The identifier that the upstream's metadata names, else its URL.
    Send,
    /// No parameter.
    Omit,
    /// This URI, as it is spelled.
    Uri(String),
}
