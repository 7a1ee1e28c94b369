//! The bearer token of a request (RFC 6750 section 2.1).

use std::fmt;

use thiserror::Error;

/// A bearer token as it was presented; it proves nothing yet. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BearerToken<'a>(&'a str);

/// Why a request carries no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoBearerToken {
    /// There is no `Authorization` header.
    #[error("no Authorization header")]
    Missing,
    /// Several headers, or a value that is no token of at most [`MAX_TOKEN_BYTES`].
    #[error("the Authorization header is malformed")]
    Malformed,
    /// Credentials of another scheme.
    #[error("the Authorization header is not of the Bearer scheme")]
    WrongScheme,
}

impl<'a> BearerToken<'a> {
    /// Reads the token from the values of all `Authorization` headers of a request.
    ///
    /// More than one header is refused, since two readers could choose differently.
    pub fn parse(authorization: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NoBearerToken> {
        let mut values = authorization.into_iter();
        let value = values.next().ok_or(NoBearerToken::Missing)?;
        if values.next().is_some() {
            return Err(NoBearerToken::Malformed);
        }
        let scheme_length = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
        let (scheme, rest) = value.split_at(scheme_length);
        if !scheme.eq_ignore_ascii_case(b"Bearer") {
            return Err(NoBearerToken::WrongScheme);
        }
        match std::str::from_utf8(rest.trim_ascii()) {
            Ok(token) if token.len() <= MAX_TOKEN_BYTES && is_token68(token) => Ok(Self(token)),
            _ => Err(NoBearerToken::Malformed),
        }
    }

    /// The token, for its digest.
    pub const fn expose(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for BearerToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(..)")
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 9110 section 11.2).
pub(super) fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// How long a token may be; ours have 46 characters.
pub const MAX_TOKEN_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse<'a>(values: &[&'a str]) -> Result<&'a str, NoBearerToken> {
        BearerToken::parse(values.iter().map(|value| value.as_bytes())).map(BearerToken::expose)
    }

    /// RFC 9110 section 11.1: the scheme is case-insensitive.
    #[test]
    fn a_token_is_read_whatever_the_case_of_the_scheme() {
        for value in ["Bearer at_x", "bearer at_x", "BEARER at_x", "Bearer  at_x", "Bearer at_x "] {
            assert_eq!(parse(&[value]), Ok("at_x"), "{value}");
        }
        assert_eq!(parse(&["Bearer a-._~+/9=="]), Ok("a-._~+/9=="));
    }

    #[test]
    fn anything_else_says_why_it_is_no_token() {
        for (values, expected) in [
            (&[][..], NoBearerToken::Missing),
            (&["Basic YTpi"], NoBearerToken::WrongScheme),
            (&["Bearerat_x"], NoBearerToken::WrongScheme),
            (&["Bearer\tat_x"], NoBearerToken::WrongScheme),
            (&["at_x"], NoBearerToken::WrongScheme),
            (&[""], NoBearerToken::WrongScheme),
            (&["Bearer"], NoBearerToken::Malformed),
            (&["Bearer "], NoBearerToken::Malformed),
            (&["Bearer ="], NoBearerToken::Malformed),
            (&["Bearer a=b"], NoBearerToken::Malformed),
            (&["Bearer a b"], NoBearerToken::Malformed),
            (&["Bearer a,b"], NoBearerToken::Malformed),
            (&["Bearer \"a\""], NoBearerToken::Malformed),
            (&["Bearer \u{e4}"], NoBearerToken::Malformed),
            (&["Bearer a", "Bearer a"], NoBearerToken::Malformed),
            (&["Basic YTpi", "Bearer a"], NoBearerToken::Malformed),
        ] {
            assert_eq!(parse(values), Err(expected), "{values:?}");
        }
        assert_eq!(BearerToken::parse([&b"Bearer \xff"[..]]), Err(NoBearerToken::Malformed));
    }

    #[test]
    fn the_length_is_bounded() {
        let of = |length: usize| format!("Bearer {}", "a".repeat(length));
        assert!(parse(&[&of(MAX_TOKEN_BYTES)]).is_ok());
        assert_eq!(parse(&[&of(MAX_TOKEN_BYTES + 1)]), Err(NoBearerToken::Malformed));
    }

    #[test]
    fn debug_output_holds_no_token() {
        let token = BearerToken::parse([&b"Bearer hunter2"[..]]).unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = BearerToken::parse([value.as_slice()]);
        }
    }
}
