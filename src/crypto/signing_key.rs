//! A key that signs JWTs with ES256 (RFC 7518 section 3.4).

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use super::Secret;

/// A P-256 private key, with the id under which its public half is published.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
}

/// Why there is no key, or no signature.
#[derive(Debug, Error)]
pub enum SigningError {
    /// Not a P-256 key in PKCS#8.
    #[error("the signing key is not a P-256 key in PKCS#8")]
    Key,
    /// The cryptographic library refused.
    #[error("the signature could not be made")]
    Sign,
}

impl SigningKey {
    /// A new key, as PKCS#8.
    pub fn generate() -> Result<Zeroizing<Vec<u8>>, SigningError> {
        match EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()) {
            Ok(document) => Ok(Zeroizing::new(document.as_ref().to_vec())),
            Err(ring::error::Unspecified) => Err(SigningError::Sign),
        }
    }

    /// The key in a PKCS#8 document.
    pub fn from_pkcs8(document: &[u8]) -> Result<Self, SigningError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &SystemRandom::new());
        // ring says no more than that it does not fit, and nothing of a private key belongs into a log.
        let Ok(pair) = pair else { return Err(SigningError::Key) };
        let (x, y) = coordinates(&pair)?;
        // RFC 7638 section 3.2: the required members, in lexicographic order, without white space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let id = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        Ok(Self { pair, id })
    }

    /// The key's id: its thumbprint (RFC 7638).
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half (RFC 7517).
    pub fn public_jwk(&self) -> Result<Value, SigningError> {
        let (x, y) = coordinates(&self.pair)?;
        Ok(json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y,
        }))
    }

    /// The claims as a signed JWT (RFC 7515 section 7.1).
    pub fn sign(&self, claims: &Value) -> Result<Secret, SigningError> {
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.id});
        let mut jwt = URL_SAFE_NO_PAD.encode(header.to_string());
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut jwt);
        match self.pair.sign(&SystemRandom::new(), jwt.as_bytes()) {
            Ok(signature) => {
                jwt.push('.');
                URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
                Ok(Secret::new(jwt))
            }
            Err(ring::error::Unspecified) => Err(SigningError::Sign),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// The public point, uncompressed: 4, x, y (SEC 1 section 2.3.3).
fn coordinates(pair: &EcdsaKeyPair) -> Result<(String, String), SigningError> {
    match pair.public_key().as_ref() {
        [4, point @ ..] if point.len() == 64 => {
            let (x, y) = point.split_at(32);
            Ok((URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y)))
        }
        _ => Err(SigningError::Key),
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, jwk::Jwk};

    use super::*;
    use crate::crypto::jwt;

    #[test]
    fn what_it_signs_verifies_with_the_published_half_only() {
        let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let other = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
        let signed = key.sign(&json!({"sub": "client"})).unwrap();
        let (message, signature) = signed.expose().rsplit_once('.').unwrap();
        let verifies = |key: &SigningKey| {
            let jwk: Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
            let key = DecodingKey::from_jwk(&jwk).unwrap();
            jwt::verify(Algorithm::ES256, &key, message.as_bytes(), signature).unwrap()
        };
        assert!(verifies(&key));
        assert!(!verifies(&other));
        let header = URL_SAFE_NO_PAD.decode(message.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!((&header["alg"], &header["kid"]), (&json!("ES256"), &json!(key.id())));
    }

    #[test]
    fn the_id_is_the_thumbprint_and_stays_the_same() {
        let document = SigningKey::generate().unwrap();
        let key = SigningKey::from_pkcs8(&document).unwrap();
        assert_eq!(key.id(), SigningKey::from_pkcs8(&document).unwrap().id());
        let jwk: Jwk = serde_json::from_value(key.public_jwk().unwrap()).unwrap();
        jwt::install();
        assert_eq!(jwk.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap(), key.id());
    }

    #[test]
    fn what_is_no_key_is_refused_and_nothing_of_it_is_shown() {
        assert!(matches!(SigningKey::from_pkcs8(b"hunter2"), Err(SigningError::Key)));
        let document = SigningKey::generate().unwrap();
        assert!(matches!(SigningKey::from_pkcs8(&document[..document.len() - 1]), Err(SigningError::Key)));
        let shown = format!("{:?}", SigningKey::from_pkcs8(&document).unwrap());
        assert!(shown.len() < 70, "{shown}");
    }
}
