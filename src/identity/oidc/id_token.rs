//! Verification of an ID token (OpenID Connect Core section 3.1.3.7).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use ring::digest;
use serde_json::{Map, Value};

use super::{
    IdTokenError,
    signed::{self, Signed, date, text},
};
use crate::{
    clock::Timestamp,
    crypto::{KeySet, constant_time_eq},
};

/// What the token must say to be of this login.
pub(super) struct Expected<'a> {
    /// Every spelling under which the provider issues tokens.
    pub(super) issuers: &'a [String],
    pub(super) client_id: &'a str,
    /// The nonce of the login; a renewed token needs none (Core section 12.2).
    pub(super) nonce: Option<&'a str>,
    pub(super) access_token: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A token whose signature and claims hold.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
}

pub(super) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Verified, IdTokenError> {
    let Signed { claims, algorithm, .. } = signed::open(token, keys)?;
    check_issuer(&claims, expected.issuers)?;
    check_parties(&claims, expected)?;
    check_times(&claims, expected.now)?;
    if let Some(expected) = expected.nonce
        && !text(&claims, "nonce").is_some_and(|nonce| constant_time_eq(nonce, expected))
    {
        return Err(IdTokenError::Nonce);
    }
    check_access_token_hash(&claims, algorithm, expected.access_token)?;
    Ok(Verified { subject: subject(&claims)?, claims })
}

pub(super) fn check_issuer(claims: &Map<String, Value>, issuers: &[String]) -> Result<(), IdTokenError> {
    let ours = text(claims, "iss").is_some_and(|iss| issuers.iter().any(|issuer| issuer == iss));
    if ours { Ok(()) } else { Err(IdTokenError::Issuer) }
}

fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    let (ours, others) = match claims.get("aud") {
        Some(Value::String(audience)) => (audience == expected.client_id, false),
        Some(Value::Array(audiences)) => (audiences.iter().any(|one| one == expected.client_id), audiences.len() > 1),
        _ => (false, false),
    };
    if !ours {
        return Err(IdTokenError::Audience);
    }
    match claims.get("azp") {
        Some(party) if party == expected.client_id => Ok(()),
        None if !others => Ok(()),
        _ => Err(IdTokenError::AuthorizedParty),
    }
}

/// `exp`, `iat` and, where it is there, `nbf`; both machines' clocks may differ by a minute.
pub(in crate::identity) fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), IdTokenError> {
    let now = now.as_seconds();
    if date(claims, "exp").is_none_or(|expiry| now >= expiry.saturating_add(SKEW_SECONDS)) {
        return Err(IdTokenError::Expired);
    }
    let begun = |moment: i64| moment <= now.saturating_add(SKEW_SECONDS);
    let issued = date(claims, "iat").is_some_and(begun);
    let valid = !claims.contains_key("nbf") || date(claims, "nbf").is_some_and(begun);
    if issued && valid { Ok(()) } else { Err(IdTokenError::NotYetValid) }
}

/// Who the token is about.
pub(in crate::identity) fn subject(claims: &Map<String, Value>) -> Result<String, IdTokenError> {
    let subject = text(claims, "sub").filter(|sub| !sub.is_empty() && sub.len() <= MAX_SUBJECT);
    subject.map(str::to_owned).ok_or(IdTokenError::Subject)
}

/// OpenID Connect Core section 3.1.3.8: the left half of the access token's hash, if the token says it.
fn check_access_token_hash(
    claims: &Map<String, Value>,
    algorithm: Algorithm,
    access_token: Option<&str>,
) -> Result<(), IdTokenError> {
    let (Some(claimed), Some(access_token)) = (claims.get("at_hash"), access_token) else { return Ok(()) };
    let hash = match algorithm {
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::EdDSA => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let digest = digest::digest(hash, access_token.as_bytes());
    let half = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..digest.as_ref().len() / 2]);
    if claimed == &half { Ok(()) } else { Err(IdTokenError::AccessTokenHash) }
}

/// How far the clocks of two machines may differ.
pub(in crate::identity) const SKEW_SECONDS: i64 = 60;
const MAX_SUBJECT: usize = 255;
