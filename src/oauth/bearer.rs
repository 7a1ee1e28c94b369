//! The bearer token of a request (RFC 6750 section 2.1).

use http::{HeaderMap, header};
use thiserror::Error;

use crate::octets;

/// Why a request carries no bearer token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
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

/// The one bearer token of a request; it proves nothing yet.
///
/// More than one `Authorization` header is refused, since two readers could choose differently.
pub fn token(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Missing)?.as_bytes();
    if values.next().is_some() {
        return Err(Error::Malformed);
    }
    let scheme_length = value.iter().position(|&byte| byte == b' ').unwrap_or(value.len());
    let (scheme, rest) = value.split_at(scheme_length);
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Error::WrongScheme);
    }
    match std::str::from_utf8(rest.trim_ascii()) {
        Ok(token) if token.len() <= MAX_TOKEN_BYTES && is_token68(token) => Ok(token),
        _ => Err(Error::Malformed),
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="` (RFC 9110 section 11.2).
pub(super) fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && octets::are_all(body.as_bytes(), allowed)
}

/// How long a token may be; ours have 46 characters.
pub const MAX_TOKEN_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn parse(values: &[&str]) -> Result<String, Error> {
        let value = |value: &&str| (header::AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        token(&values.iter().map(value).collect()).map(str::to_owned)
    }

    /// RFC 9110 section 11.1: the scheme is case-insensitive.
    #[test]
    fn a_token_is_read_whatever_the_case_of_the_scheme() {
        for value in ["Bearer at_x", "bearer at_x", "BEARER at_x", "Bearer  at_x", "Bearer at_x "] {
            assert_eq!(parse(&[value]), Ok("at_x".to_owned()), "{value}");
        }
        assert_eq!(parse(&["Bearer a-._~+/9=="]), Ok("a-._~+/9==".to_owned()));
    }

    #[test]
    fn anything_else_says_why_it_is_no_token() {
        for (values, expected) in [
            (&[][..], Error::Missing),
            (&["Basic YTpi"], Error::WrongScheme),
            (&["Bearerat_x"], Error::WrongScheme),
            (&["Bearer\tat_x"], Error::WrongScheme),
            (&["at_x"], Error::WrongScheme),
            (&[""], Error::WrongScheme),
            (&["Bearer"], Error::Malformed),
            (&["Bearer "], Error::Malformed),
            (&["Bearer ="], Error::Malformed),
            (&["Bearer a=b"], Error::Malformed),
            (&["Bearer a b"], Error::Malformed),
            (&["Bearer a,b"], Error::Malformed),
            (&["Bearer \"a\""], Error::Malformed),
            (&["Bearer \u{e4}"], Error::Malformed),
            (&["Bearer a", "Bearer a"], Error::Malformed),
            (&["Basic YTpi", "Bearer a"], Error::Malformed),
        ] {
            assert_eq!(parse(values), Err(expected), "{values:?}");
        }
    }

    #[test]
    fn the_length_is_bounded() {
        let of = |length: usize| format!("Bearer {}", "a".repeat(length));
        assert!(parse(&[&of(MAX_TOKEN_BYTES)]).is_ok());
        assert_eq!(parse(&[&of(MAX_TOKEN_BYTES + 1)]), Err(Error::Malformed));
    }

    proptest! {
        #[test]
        fn no_value_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            let _ = token(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]));
        }
    }
}
