//! JWT signatures on ring, for the `jsonwebtoken` crate.
//!
//! `jsonwebtoken` brings its own cryptography only with features that would add a second stack, so it is given ours.
//! Signatures are verified, not made: nothing here signs JWTs yet. HMAC is left out on purpose; whoever verifies with
//! a shared secret could also have signed.

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind,
    crypto::{CryptoProvider, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    jwk::ThumbprintHash,
    signature::{self, Verifier},
};
use ring::{
    digest,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
        RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
    },
};

/// Makes `jsonwebtoken` verify with ring, for the whole process; further calls change nothing.
pub fn install() {
    let _already_installed = PROVIDER.install_default();
}

/// Whether `signature` is that of the owner of `key` under `message`.
///
/// Errors are for keys that do not fit the algorithm and for signatures that are not base64url.
pub fn verify(algorithm: Algorithm, key: &DecodingKey, message: &[u8], signature: &str) -> Result<bool, Error> {
    install();
    jsonwebtoken::crypto::verify(signature, message, key, algorithm)
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| verifier(*algorithm, key),
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        rsa_pub_components_from_public_key: |_| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ec_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        ed_pub_components_from_private_key: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
        compute_digest,
    },
};

fn compute_digest(data: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>, Error> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    Ok(digest::digest(algorithm, data).as_ref().to_vec())
}

/// The one place that says which key may verify which algorithm.
fn verifier(algorithm: Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    if algorithm.family() != key.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let public = match (scheme(algorithm)?, key.kind()) {
        (Scheme::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
            // RFC 7518 section 6.3.1.1: some issuers prepend a zero octet to the modulus all the same.
            let first = n.iter().position(|octet| *octet != 0).unwrap_or(0);
            PublicKey::Rsa(parameters, RsaPublicKeyComponents { n: n[first..].to_vec(), e: e.clone() })
        }
        (Scheme::Curve(parameters), DecodingKeyKind::SecretOrDer(point)) => {
            PublicKey::Curve(UnparsedPublicKey::new(parameters, point.clone()))
        }
        _ => return Err(ErrorKind::InvalidKeyFormat.into()),
    };
    Ok(Box::new(RingVerifier { algorithm, public }))
}

enum Scheme {
    Rsa(&'static RsaParameters),
    Curve(&'static dyn VerificationAlgorithm),
}

fn scheme(algorithm: Algorithm) -> Result<Scheme, Error> {
    Ok(match algorithm {
        Algorithm::RS256 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Scheme::Rsa(&RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Scheme::Rsa(&RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Scheme::Curve(&ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Scheme::Curve(&ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Scheme::Curve(&ED25519),
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    })
}

struct RingVerifier {
    algorithm: Algorithm,
    public: PublicKey,
}

enum PublicKey {
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
    Curve(UnparsedPublicKey<Vec<u8>>),
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let outcome = match &self.public {
            PublicKey::Rsa(parameters, components) => components.verify(parameters, message, signature),
            PublicKey::Curve(key) => key.verify(message, signature),
        };
        // ring says nothing about why, and neither can we.
        outcome.map_err(|ring::error::Unspecified| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
