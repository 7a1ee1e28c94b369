//! JWTs for the proxies that verify them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::json;

/// A token signed with [`SECRET`].
pub fn hs256() -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    signed("HS256", |message| hmac::sign(&key, message).as_ref().to_vec())
}

/// A token signed with a key of P-256, and the set of keys that verifies it (RFC 7517).
pub fn es256() -> (String, String) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let point = key.public_key().as_ref();
    let coordinate = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let keys = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "one",
        "x": coordinate(&point[1..33]), "y": coordinate(&point[33..]),
    }]});
    let token = signed("ES256", |message| key.sign(&random, message).unwrap().as_ref().to_vec());
    (token, keys.to_string())
}

fn signed(algorithm: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "scope": "mcp:tools",
        "exp": (now + Duration::from_secs(8 * 3600)).as_secs(),
    });
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": "one"});
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = URL_SAFE_NO_PAD.encode(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

pub const ISSUER: &str = "https://login.example.com";
pub const SUBJECT: &str = "ada";
pub const AUDIENCE: &str = "http://127.0.0.1/call";
pub const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes-for-hs256";
