//! `routes[].access`: who may use a route.

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{nothing, null};
use crate::config::at::At;

/// Who may use a route, by the claims of the identity provider. Unset: everybody who can sign in.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Access {
    /// One of these must fit. Unset: everybody may; `[]`: nobody.
    #[schemars(default = "null")]
    pub allow: At<Vec<ClaimRule>>,
    /// None of these may fit.
    #[schemars(default = "nothing")]
    pub deny: At<Vec<ClaimRule>>,
}

/// Fits users of whom a claim has one of some values.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRule {
    /// The claim: a name, or names with dots between them, from the outside in.
    pub claim: At<String>,
    /// The values.
    pub any_of: At<Vec<At<String>>>,
}
