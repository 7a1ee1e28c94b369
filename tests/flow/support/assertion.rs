//! Client assertions, honest and forged.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};

/// The kind of assertion that the parameter `client_assertion_type` names.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client's key pair.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl SigningKey {
    pub fn new(kid: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { pair: EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap(), kid }
    }

    /// The public half.
    pub fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
               "use": "sig", "alg": "ES256", "kid": self.kid})
    }

    pub fn jwks(&self) -> Value {
        json!({"keys": [self.jwk()]})
    }

    /// An honest assertion of `client` for `audience`, good for a minute from `now`.
    pub fn assertion(&self, client: &str, audience: &str, now: i64) -> String {
        self.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), &claims(client, audience, now))
    }

    /// A token with any header and claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token whose HMAC key is the public key, as whoever confuses algorithms would accept.
    pub fn confused(&self, claims: &Value) -> String {
        let message = message(&json!({"alg": "HS256", "typ": "JWT", "kid": self.kid}), claims);
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.pair.public_key().as_ref());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
    }
}

/// The claims of an honest assertion, with a name of its own.
pub fn claims(client: &str, audience: &str, now: i64) -> Value {
    let jti = sallyport::crypto::random_token("");
    json!({"iss": client, "sub": client, "aud": audience, "iat": now, "exp": now + 60, "jti": jti})
}

/// A token without a signature.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", message(&json!({"alg": "none"}), claims))
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
