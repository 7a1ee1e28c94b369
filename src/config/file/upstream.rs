//! `routes[].upstream`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

use super::default::{
    CONNECT_TIMEOUT_MS, RESPONSE_TIMEOUT_MS, auto, flag, http_1, nothing, null, number, section, send, space,
    user_oauth,
};
use crate::config::at::{At, AtSecret};

/// The MCP server behind a route.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upstream {
    /// Its Streamable HTTP endpoint. It may be http and private: writing it here is the permission.
    pub url: At<String>,
    /// Names the connection in URLs and events. Default: the `operationId` without a trailing `-mcp-server` or `-mcp`.
    #[schemars(default = "null")]
    pub id: At<String>,
    /// What people see. Default: the route's `summary`, else the `id`.
    #[schemars(default = "null")]
    pub display_name: At<String>,
    /// How the gateway authenticates itself there.
    #[schemars(default = "user_oauth")]
    pub auth_mode: At<AuthMode>,
    /// `user-key`: how the person's API key is sent.
    #[schemars(default = "section")]
    pub user_key: UserKey,
    /// `header`: the headers to send, by name.
    #[schemars(default = "section")]
    pub headers: At<BTreeMap<String, AtSecret>>,
    /// How the gateway becomes a client of the upstream's authorization server.
    #[schemars(default = "section")]
    pub client_registration: ClientRegistration,
    /// The scopes to ask for. Empty: what the upstream's challenge or metadata names.
    #[schemars(default = "nothing")]
    pub scopes: At<Vec<At<String>>>,
    /// What separates scopes in the request.
    #[schemars(default = "space")]
    pub scope_delimiter: At<String>,
    /// The `prompt` of the authorization request. Unset: `consent` where `offline_access` is asked for; `false`: never.
    #[schemars(default = "null", schema_with = "prompt_schema")]
    pub prompt: At<Scalar>,
    /// Further parameters of the authorization request, by name, such as `audience` at Auth0.
    #[schemars(default = "section")]
    pub authorization_parameters: At<BTreeMap<String, At<String>>>,
    /// The `resource` parameter: `send`, `omit`, or the URI to send instead of the upstream's own.
    #[schemars(default = "send")]
    pub resource: At<String>,
    /// Where the upstream's protected resource metadata is. Unset: discovered.
    #[schemars(default = "null")]
    pub protected_resource_metadata_url: At<String>,
    /// Whether an authorization server that does not announce how it checks PKCE is taken to check it with S256, as
    /// Microsoft Entra does. PKCE is used in any case.
    #[schemars(default = "flag::<false>")]
    pub assume_pkce: At<bool>,
    /// Certificates for this upstream.
    #[schemars(default = "section")]
    pub tls: UpstreamTls,
    /// HTTP version: `1`, `2` (over plaintext with prior knowledge), or `auto` (what TLS negotiates).
    #[schemars(default = "http_1", schema_with = "http_schema")]
    pub http: At<Scalar>,
    /// How long connecting may take.
    #[schemars(default = "number::<CONNECT_TIMEOUT_MS>")]
    pub connect_timeout_ms: At<i64>,
    /// The longest silence of the upstream, before its answer begins and within it.
    #[schemars(default = "number::<RESPONSE_TIMEOUT_MS>")]
    pub response_timeout_ms: At<i64>,
    /// Whether the client's query string is passed on.
    #[schemars(default = "flag::<true>")]
    pub forward_search: At<bool>,
    /// Whether redirects of the upstream are followed instead of passed to the client.
    #[schemars(default = "flag::<false>")]
    pub follow_redirects: At<bool>,
}

/// How the gateway authenticates itself at an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// Every user has an own connection.
    UserOauth,
    /// One connection for all, made by an administrator.
    SharedOauth,
    /// Every user gives an API key of their own.
    UserKey,
    /// The user's identity assertion is exchanged for an ID-JAG.
    IdJag,
    /// A static header or API key.
    Header,
    /// A public upstream.
    None,
}

/// How a person's API key is sent, and where people find it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserKey {
    /// The header that carries the key. Default: `Authorization`.
    #[schemars(default = "null")]
    pub header: At<String>,
    /// The word before the key. Default: `Bearer` in `Authorization`, else none.
    #[schemars(default = "null")]
    pub scheme: At<String>,
    /// What the page that asks for the key says about where to find it.
    #[schemars(default = "null")]
    pub help: At<String>,
}

/// How the gateway becomes a client of the upstream's authorization server.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientRegistration {
    /// `auto`: a Client ID Metadata Document where it is understood, else dynamic registration. `dynamic`: never the
    /// document, for a gateway that the authorization server cannot reach.
    #[schemars(default = "auto")]
    pub mode: At<RegistrationMode>,
    /// `manual`: the client id.
    #[schemars(default = "null")]
    pub client_id: At<String>,
    /// `manual`: the client secret.
    #[schemars(default = "null")]
    pub client_secret: AtSecret,
    /// `manual`: the authentication at the token endpoint. Default: `client_secret_basic` with a secret, else `none`.
    #[schemars(default = "null")]
    pub token_endpoint_auth_method: At<TokenEndpointAuthMethod>,
    /// `manual`: the issuer of the authorization server that the client is for. Unset: the one that is found first,
    /// from then on.
    #[schemars(default = "null")]
    pub issuer: At<String>,
}

/// Who registers the gateway at the upstream's authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationMode {
    /// The gateway itself.
    Auto,
    /// The gateway itself, by dynamic registration only.
    Dynamic,
    /// The operator did.
    Manual,
}

/// Client authentication at the token endpoint, as RFC 7591 names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the body.
    ClientSecretPost,
    /// A signed assertion.
    PrivateKeyJwt,
    /// A public client.
    None,
}

/// Certificates for one upstream.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpstreamTls {
    /// A PEM bundle of further certificate authorities.
    #[schemars(default = "null")]
    pub ca_file: At<String>,
    /// The certificate chain that the gateway presents, PEM.
    #[schemars(default = "null")]
    pub client_cert: At<String>,
    /// Its private key, PEM.
    #[schemars(default = "null")]
    pub client_key: At<String>,
}

/// A word, number or boolean, for keys whose words look like several types.
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Integer(u64),
    /// A word.
    Word(String),
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a single word or number")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Integer(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Word(value.to_owned()))
    }
}

fn prompt_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"enum": [null, false, "none", "login", "consent", "select_account"]})
}

fn http_schema(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"enum": ["auto", 1, 2, "1", "2"]})
}
