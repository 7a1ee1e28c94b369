//! Who signed in.

use std::fmt;

use serde_json::{Map, Value};

use super::signed::date;
use crate::{clock::Timestamp, crypto::Secret};

/// What a verified ID token, and the `UserInfo` endpoint where it was asked, say about a person; only [`Provider::finish`](super::Provider::finish) makes one.
#[derive(Clone)]
#[non_exhaustive]
pub struct IdentityClaims {
    /// The provider.
    pub issuer: String,
    /// The person, stable at this provider (`sub`).
    pub subject: String,
    /// `email`.
    pub email: Option<String>,
    /// `email_verified`; some providers send it as text.
    pub email_verified: Option<bool>,
    /// `name`.
    pub name: Option<String>,
    /// `preferred_username`.
    pub preferred_username: Option<String>,
    /// Every claim, those above included; at most 32 KiB of JSON.
    pub claims: Map<String, Value>,
    /// The ID token itself.
    pub id_token: Secret,
    /// The refresh token, if the provider gave one.
    pub refresh_token: Option<Secret>,
}

impl IdentityClaims {
    /// When the ID token ends.
    pub fn expires_at(&self) -> Option<Timestamp> {
        date(&self.claims, "exp").map(Timestamp::from_seconds)
    }

    pub(super) fn new(issuer: &str, subject: String, claims: Map<String, Value>, tokens: Tokens) -> Self {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            issuer: issuer.to_owned(),
            subject,
            email: text("email"),
            email_verified: claims.get("email_verified").and_then(|verified| match verified {
                Value::Bool(verified) => Some(*verified),
                Value::String(verified) => verified.parse().ok(),
                _ => None,
            }),
            name: text("name"),
            preferred_username: text("preferred_username"),
            claims,
            id_token: tokens.id,
            refresh_token: tokens.refresh,
        }
    }
}

impl fmt::Debug for IdentityClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityClaims").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// What the token endpoint gave.
pub(super) struct Tokens {
    pub(super) id: Secret,
    pub(super) access: Option<Secret>,
    pub(super) refresh: Option<Secret>,
}
