//! JWTs that somebody else signed with a key pair (RFC 7515 section 5.2, RFC 8725).

use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::KeySet;

/// A token whose signature holds; what its claims are worth is for the caller to say.
#[derive(Debug)]
pub struct SignedJwt {
    /// `typ` of the header, as it came.
    pub typ: Option<String>,
    /// What it was signed with.
    pub algorithm: Algorithm,
    /// The claims.
    pub claims: Map<String, Value>,
}

/// Why a token's claims are not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignedJwtError {
    /// Not a signed JWT with a JSON object inside.
    #[error("it is not a signed JWT")]
    Malformed,
    /// Larger than any honest one.
    #[error("it is too large")]
    TooLarge,
    /// Signed with an algorithm that is not accepted: `none`, a shared secret, or an unknown one.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// It demands a header extension (`crit`, RFC 7515 section 4.1.11) that is not understood.
    #[error("it demands a header extension that is not understood")]
    Critical,
    /// No key of its issuer fits its `kid` and algorithm.
    #[error("no key of its issuer fits its `kid` and `alg`")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
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

impl SignedJwt {
    /// Reads `token` and verifies it with the keys of whom it must be from.
    pub fn verify(token: &str, keys: &KeySet) -> Result<Self, SignedJwtError> {
        let (message, signature) = token.rsplit_once('.').ok_or(SignedJwtError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(SignedJwtError::Malformed)?;
        if header.len() > MAX_HEADER || payload.len() > MAX_CLAIMS / 3 * 4 {
            return Err(SignedJwtError::TooLarge);
        }
        let header: Header = decode(header)?;
        let algorithm = accepted(&header.alg).ok_or(SignedJwtError::Algorithm)?;
        if header.crit.is_some() {
            return Err(SignedJwtError::Critical);
        }
        keys.verify(header.kid.as_deref(), algorithm, message, signature)?;
        // Nothing of the payload is believed before this line.
        Ok(Self { typ: header.typ, algorithm, claims: decode(payload)? })
    }

    /// Who a token says that it is from. Nothing proves it: only good to know whose keys to try.
    pub fn claimed_issuer(token: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Claimed {
            iss: String,
        }
        let (message, _signature) = token.rsplit_once('.')?;
        let (_header, payload) = message.split_once('.')?;
        let small = payload.len() <= MAX_CLAIMS / 3 * 4;
        decode::<Claimed>(payload).ok().filter(|_| small).map(|claimed| claimed.iss)
    }
}

/// A claim that is a text.
pub fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// A `NumericDate` (RFC 7519 section 2), in whole seconds; some issuers send fractions.
pub fn date(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates, and so does every date beyond it")]
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The names of the accepted algorithms: signatures with a key pair only, never `none`, never a shared secret.
pub const SIGNING_ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

fn accepted(name: &str) -> Option<Algorithm> {
    SIGNING_ALGORITHMS.contains(&name).then(|| Algorithm::from_str(name).ok()).flatten()
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, SignedJwtError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).ok_or(SignedJwtError::Malformed)
}

/// The most that the claims of a token may take, in bytes of JSON.
pub const MAX_CLAIMS: usize = 16 * 1024;
const MAX_HEADER: usize = 16 * 1024;
