//! `rateLimits`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{
    AUTHORIZATIONS_PER_MINUTE, CONNECTS_PER_MINUTE, LOGINS_PER_MINUTE, REGISTRATIONS_PER_MINUTE, TOKENS_PER_MINUTE,
    number,
};
use crate::config::at::At;

/// How many requests a minute one network address may make to the gateway's own endpoints; 0: as many as it likes.
///
/// MCP requests are not counted. Behind a proxy the address is the one that a trusted proxy gives in `X-Forwarded-For`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimits {
    /// Dynamic client registration.
    #[schemars(default = "number::<REGISTRATIONS_PER_MINUTE>")]
    pub registration: At<i64>,
    /// The authorization endpoint and the consent page.
    #[schemars(default = "number::<AUTHORIZATIONS_PER_MINUTE>")]
    pub authorization: At<i64>,
    /// The token and the revocation endpoint.
    #[schemars(default = "number::<TOKENS_PER_MINUTE>")]
    pub token: At<i64>,
    /// Signing in and out.
    #[schemars(default = "number::<LOGINS_PER_MINUTE>")]
    pub login: At<i64>,
    /// Connecting an upstream, and the account page.
    #[schemars(default = "number::<CONNECTS_PER_MINUTE>")]
    pub connect: At<i64>,
}
