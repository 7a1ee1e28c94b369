//! `browserLogin`, `gateway` and `log`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{
    ACCESS_TOKEN_TTL_SECONDS, REFRESH_GRACE_SECONDS, REFRESH_TOKEN_TTL_SECONDS, SESSION_TTL_SECONDS, STATE_TTL_SECONDS,
    auto, flag, info, nothing, null, number,
};
use crate::config::at::At;

/// The browser's sign-in at the gateway.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrowserLogin {
    /// How long a browser stays signed in.
    #[schemars(default = "number::<SESSION_TTL_SECONDS>")]
    pub session_ttl_seconds: At<i64>,
    /// How long a login that was begun may take.
    #[schemars(default = "number::<STATE_TTL_SECONDS>")]
    pub state_ttl_seconds: At<i64>,
}

/// Tokens that the gateway issues to MCP clients.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Gateway {
    /// The lifetime of an access token.
    #[schemars(default = "number::<ACCESS_TOKEN_TTL_SECONDS>")]
    pub access_token_ttl_seconds: At<i64>,
    /// The lifetime of a grant and its refresh tokens.
    #[schemars(default = "number::<REFRESH_TOKEN_TTL_SECONDS>")]
    pub refresh_token_ttl_seconds: At<i64>,
    /// How long a rotated refresh token still yields the successors that it yielded before.
    #[schemars(default = "number::<REFRESH_GRACE_SECONDS>")]
    pub refresh_grace_seconds: At<i64>,
    /// Whether clients may identify themselves with a Client ID Metadata Document.
    #[schemars(default = "flag::<true>")]
    pub cimd_enabled: At<bool>,
    /// Identity providers whose identity assertions (ID-JAG) clients may redeem without a consent page.
    #[schemars(default = "nothing")]
    pub id_jag_issuers: At<Vec<IdJagIssuer>>,
}

/// An identity provider whose identity assertions are believed.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdJagIssuer {
    /// The issuer, as its assertions spell it.
    pub issuer: At<String>,
    /// Its keys. Unset: those of `identity` if it is the same issuer, else discovered.
    #[schemars(default = "null")]
    pub jwks_url: At<String>,
}

/// What is logged, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Log {
    /// `auto`: `pretty` on a terminal, `json` otherwise.
    #[schemars(default = "auto")]
    pub format: At<LogFormat>,
    /// The least severe level that is written.
    #[schemars(default = "info")]
    pub level: At<LogLevel>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `pretty` on a terminal, `json` otherwise.
    Auto,
    /// One JSON object per line.
    Json,
    /// For reading on a terminal.
    Pretty,
}

/// The severity of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something a person must act on.
    Error,
    /// Something odd that was dealt with.
    Warn,
    /// What happened.
    Info,
    /// For finding faults.
    Debug,
    /// Everything.
    Trace,
}
