//! The bearer token of a request (RFC 6750 section 2.1).

use http::{HeaderMap, header};

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// No `Authorization` header.
    Missing,
    /// Not exactly one bearer token.
    Malformed,
}

/// The one bearer token of a request.
pub fn token(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Missing)?;
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(Error::Malformed)?;
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") { Err(Error::Malformed) } else { Ok(token) }
}
