//! The public keys of somebody who signs JWTs.

use std::str::FromStr as _;

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::{jwt, signed_jwt::SignedJwtError};

/// A key set document (RFC 7517 section 5).
#[derive(Debug, Clone, Deserialize)]
pub struct KeySetDocument {
    keys: Vec<Value>,
}

/// The keys of a set that can verify signatures; all others are left out, as RFC 7517 section 5 advises.
#[derive(Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// The only algorithm the key is for, if it says so.
    algorithm: Option<Algorithm>,
    public: DecodingKey,
}

impl KeySet {
    /// The usable ones of a document's first 64 keys.
    pub fn new(document: KeySetDocument) -> Self {
        Self(document.keys.into_iter().take(MAX_KEYS).filter_map(Key::parse).collect())
    }

    /// Whether there is no key that could verify anything.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks `signature` with the keys that fit: by `kid` if both sides name one, by type and `alg` always.
    pub(super) fn verify(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        message: &str,
        signature: &str,
    ) -> Result<(), SignedJwtError> {
        let mut fitting = self.0.iter().filter(|key| key.fits(kid, algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(SignedJwtError::UnknownKey);
        }
        let verified = fitting.any(|key| {
            jwt::verify(algorithm, &key.public, message.as_bytes(), signature).is_ok_and(|verified| verified)
        });
        if verified { Ok(()) } else { Err(SignedJwtError::Signature) }
    }
}

impl Key {
    fn parse(document: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(document).ok()?;
        let common = &jwk.common;
        let for_signatures = match (&common.public_key_use, &common.key_operations) {
            (Some(purpose), _) if *purpose != PublicKeyUse::Signature => false,
            (_, Some(operations)) => operations.contains(&KeyOperations::Verify),
            _ => true,
        };
        let asymmetric = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
        if !for_signatures || !asymmetric {
            return None;
        }
        let algorithm = match common.key_algorithm {
            Some(algorithm) => Some(Algorithm::from_str(&algorithm.to_string()).ok()?),
            None => None,
        };
        Some(Self { kid: common.key_id.clone(), algorithm, public: DecodingKey::from_jwk(&jwk).ok()? })
    }

    fn fits(&self, kid: Option<&str>, algorithm: Algorithm) -> bool {
        let same_kid = match (self.kid.as_deref(), kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        same_kid && self.public.family() == algorithm.family() && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

const MAX_KEYS: usize = 64;
