//! A JWT whose signature holds; what its claims must say is another question.

use super::IdTokenError;
use crate::crypto::{KeySet, SignedJwtError};
pub(in crate::identity) use crate::crypto::{MAX_CLAIMS, SignedJwt as Signed, date, text};

/// Verifies the signature of `token` with `keys`; nothing of the payload is believed before that.
pub(in crate::identity) fn open(token: &str, keys: &KeySet) -> Result<Signed, IdTokenError> {
    Ok(Signed::verify(token, keys)?)
}

/// The issuer that a token claims to be of, which says whose keys to verify it with and nothing more.
pub(in crate::identity) fn claimed_issuer(token: &str) -> Option<String> {
    Signed::claimed_issuer(token)
}

impl From<SignedJwtError> for IdTokenError {
    fn from(error: SignedJwtError) -> Self {
        match error {
            SignedJwtError::Malformed => Self::Malformed,
            SignedJwtError::TooLarge => Self::TooLarge,
            SignedJwtError::Algorithm => Self::Algorithm,
            SignedJwtError::Critical => Self::Critical,
            SignedJwtError::UnknownKey => Self::UnknownKey,
            SignedJwtError::Signature => Self::Signature,
        }
    }
}
