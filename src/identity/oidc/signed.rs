//! A JWT whose signature holds; what its claims must say is another question.

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{IdTokenError, keys::KeySet};

/// The content of a JWT that one of the keys signed.
#[derive(Debug)]
pub(in crate::identity) struct Signed {
    /// `typ` of the header, as it is spelled.
    pub(in crate::identity) typ: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(in crate::identity) claims: Map<String, Value>,
}

/// The parts of the header that count. Keys it may carry or point at (`jwk`, `jku`, `x5c`, `x5u`) are never used:
/// a forger would sign with them.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Verifies the signature of `token` with `keys`; nothing of the payload is believed before that.
pub(in crate::identity) fn open(token: &str, keys: &KeySet) -> Result<Signed, IdTokenError> {
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
    Ok(Signed { typ: header.typ, algorithm, claims: decode(payload)? })
}

/// The issuer that a token claims to be of, which says whose keys to verify it with and nothing more.
pub(in crate::identity) fn claimed_issuer(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claimed {
        iss: String,
    }
    let payload = token.split('.').nth(1).filter(|payload| payload.len() <= MAX_CLAIMS / 3 * 4)?;
    decode::<Claimed>(payload).ok().map(|claimed| claimed.iss)
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

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, IdTokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(IdTokenError::Malformed)
}

/// A claim that is a text.
pub(in crate::identity) fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A `NumericDate` (RFC 7519 section 2), in whole seconds; some issuers send fractions.
pub(in crate::identity) fn date(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and so does every date beyond it")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The most that the claims of a token may take, in bytes of JSON.
pub(super) const MAX_CLAIMS: usize = 16 * 1024;
const MAX_HEADER: usize = 16 * 1024;
