//! Verification of an ID token (OpenID Connect Core section 3.1.3.7).

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use ring::digest;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{IdTokenError, keys::KeySet};
use crate::{clock::Timestamp, crypto::constant_time_eq};

/// What the token must say to be of this login.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) access_token: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// A token whose signature and claims hold.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) subject: String,
    pub(super) claims: Map<String, Value>,
}

/// The parts of the header that count. Keys it may carry or point at (`jwk`, `jku`, `x5c`, `x5u`) are never used:
/// a forger would sign with them.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

pub(super) fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Verified, IdTokenError> {
    let (message, signature) = token.rsplit_once('.').ok_or(IdTokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(IdTokenError::Malformed)?;
    if header.len() > MAX_HEADER || payload.len() > MAX_CLAIMS / 3 * 4 {
        return Err(IdTokenError::TooLarge);
    }
    let header: Header = decode(header)?;
    let algorithm = accepted(&header.alg).ok_or(IdTokenError::Algorithm)?;
    if header.crit.is_some() {
        return Err(IdTokenError::Critical);
    }
    keys.verify(header.kid.as_deref(), algorithm, message, signature)?;
    // Nothing of the payload is believed before this line.
    let claims: Map<String, Value> = decode(payload)?;
    check_parties(&claims, expected)?;
    check_times(&claims, expected.now)?;
    if !text(&claims, "nonce").is_some_and(|nonce| constant_time_eq(nonce, expected.nonce)) {
        return Err(IdTokenError::Nonce);
    }
    check_access_token_hash(&claims, algorithm, expected.access_token)?;
    let subject = text(&claims, "sub").filter(|sub| !sub.is_empty() && sub.len() <= MAX_SUBJECT);
    let subject = subject.ok_or(IdTokenError::Subject)?.to_owned();
    Ok(Verified { subject, claims })
}

/// The allow-list: signatures with a key pair only, never `none`, never a shared secret.
fn accepted(name: &str) -> Option<Algorithm> {
    const ACCEPTED: [Algorithm; 9] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::EdDSA,
    ];
    Algorithm::from_str(name).ok().filter(|algorithm| ACCEPTED.contains(algorithm))
}

fn check_parties(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), IdTokenError> {
    if text(claims, "iss") != Some(expected.issuer) {
        return Err(IdTokenError::Issuer);
    }
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

fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), IdTokenError> {
    let now = now.as_seconds();
    if date(claims, "exp").is_none_or(|expiry| now >= expiry.saturating_add(SKEW_SECONDS)) {
        return Err(IdTokenError::Expired);
    }
    let begun = |moment: i64| moment <= now.saturating_add(SKEW_SECONDS);
    let issued = date(claims, "iat").is_some_and(begun);
    let valid = !claims.contains_key("nbf") || date(claims, "nbf").is_some_and(begun);
    if issued && valid { Ok(()) } else { Err(IdTokenError::NotYetValid) }
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

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, IdTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(IdTokenError::Malformed)
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A `NumericDate` (RFC 7519 section 2), in whole seconds; some issuers send fractions.
fn date(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and so does every date beyond it")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

const SKEW_SECONDS: i64 = 60;
const MAX_SUBJECT: usize = 255;
const MAX_HEADER: usize = 16 * 1024;
const MAX_CLAIMS: usize = 16 * 1024;
