//! Proof Key for Code Exchange (RFC 7636), `S256` only.

use thiserror::Error;

use crate::crypto::{constant_time_eq, s256};

/// An `S256` code challenge (RFC 7636 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeChallenge(String);

/// Why a challenge or a verifier is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PkceError {
    /// There is no `code_challenge`.
    #[error("code_challenge is missing")]
    MissingChallenge,
    /// The challenge is not 43 to 128 unreserved characters.
    #[error("code_challenge is malformed")]
    MalformedChallenge,
    /// The method is `plain`, unknown, or missing, which means `plain` (RFC 7636 section 4.3).
    #[error("code_challenge_method is not S256")]
    Method,
    /// The verifier is not 43 to 128 unreserved characters (RFC 7636 section 4.1).
    #[error("code_verifier is malformed")]
    MalformedVerifier,
    /// The verifier is not the one of the challenge.
    #[error("code_verifier does not belong to the code_challenge")]
    Mismatch,
}

impl CodeChallenge {
    /// Reads `code_challenge` and `code_challenge_method` of an authorization request.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, PkceError> {
        let challenge = challenge.ok_or(PkceError::MissingChallenge)?;
        if method != Some("S256") {
            return Err(PkceError::Method);
        }
        if !is_well_formed(challenge) {
            return Err(PkceError::MalformedChallenge);
        }
        Ok(Self(challenge.to_owned()))
    }

    /// Takes up again a challenge that [`CodeChallenge::parse`] gave earlier and the store kept.
    pub fn from_stored(challenge: impl Into<String>) -> Self {
        Self(challenge.into())
    }

    /// The challenge as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks the `code_verifier` of a token request (RFC 7636 section 4.6), in constant time.
    pub fn verify(&self, code_verifier: &str) -> Result<(), PkceError> {
        if !is_well_formed(code_verifier) {
            return Err(PkceError::MalformedVerifier);
        }
        if constant_time_eq(&s256(code_verifier), &self.0) { Ok(()) } else { Err(PkceError::Mismatch) }
    }
}

/// `43*128unreserved`, the syntax of challenge and verifier alike.
fn is_well_formed(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    /// RFC 7636 appendix B.
    #[test]
    fn the_verifier_of_the_challenge_is_accepted() {
        let challenge = CodeChallenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert_eq!(challenge.verify(VERIFIER), Ok(()));
        assert_eq!(CodeChallenge::from_stored(challenge.as_str()).verify(VERIFIER), Ok(()));
    }

    /// RFC 7636 section 4.3: a missing method means `plain`; RFC 9700 section 2.1.1 wants `S256`.
    #[test]
    fn every_method_but_s256_is_refused() {
        for method in [None, Some("plain"), Some("s256"), Some("S512"), Some("S256 ")] {
            assert_eq!(CodeChallenge::parse(Some(CHALLENGE), method), Err(PkceError::Method), "{method:?}");
        }
        assert_eq!(CodeChallenge::parse(None, Some("S256")), Err(PkceError::MissingChallenge));
        assert_eq!(CodeChallenge::parse(None, None), Err(PkceError::MissingChallenge));
    }

    /// RFC 7636 sections 4.1 and 4.2.
    #[test]
    fn challenge_and_verifier_have_43_to_128_unreserved_characters() {
        let challenge = CodeChallenge::from_stored(CHALLENGE);
        for text in ["", &"a".repeat(42), &"a".repeat(129), &"a+".repeat(30), &"a/".repeat(30), &"\u{e4}".repeat(43)] {
            assert_eq!(CodeChallenge::parse(Some(text), Some("S256")), Err(PkceError::MalformedChallenge), "{text}");
            assert_eq!(challenge.verify(text), Err(PkceError::MalformedVerifier), "{text}");
        }
        for text in ["a".repeat(43), "a".repeat(128), "-._~".repeat(20)] {
            assert!(CodeChallenge::parse(Some(&text), Some("S256")).is_ok(), "{text}");
            assert_eq!(challenge.verify(&text), Err(PkceError::Mismatch), "{text}");
        }
    }

    /// A downgrade to `plain` would accept the challenge as its own verifier.
    #[test]
    fn the_challenge_is_not_its_own_verifier() {
        assert_eq!(CodeChallenge::from_stored(CHALLENGE).verify(CHALLENGE), Err(PkceError::Mismatch));
    }

    #[test]
    fn an_empty_record_accepts_no_verifier() {
        assert_eq!(CodeChallenge::from_stored("").verify(""), Err(PkceError::MalformedVerifier));
        assert_eq!(CodeChallenge::from_stored("").verify(VERIFIER), Err(PkceError::Mismatch));
    }

    proptest! {
        #[test]
        fn only_the_same_verifier_is_accepted(one in "[a-zA-Z0-9._~-]{43,128}", two in "[a-zA-Z0-9._~-]{43,128}") {
            let challenge = CodeChallenge::parse(Some(&s256(&one)), Some("S256")).unwrap();
            prop_assert_eq!(challenge.verify(&one), Ok(()));
            prop_assert_eq!(challenge.verify(&two).is_ok(), one == two);
        }
    }
}
