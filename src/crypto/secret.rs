//! Text that must never be printed.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A secret text: wiped from memory when dropped, absent from `Debug` and `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes charge of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The header value that this is; none if it holds what cannot stand in one.
    ///
    /// Its memory is wiped with the last of its copies, and `Debug` does not show it.
    pub fn into_header(self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(self)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Writes a secret as it is, with `serialize_with`: for what is sealed at once.
pub fn in_clear<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(serializer)
}

/// The same with one that there may not be.
pub fn in_clear_if_any<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_does_not_hold_the_secret() {
        assert!(!format!("{:?}", Some(Secret::new("hunter2"))).contains("hunter2"));
        assert!(!format!("{:?}", Secret::new("hunter2").into_header()).contains("hunter2"));
    }

    #[test]
    fn a_header_is_the_secret_itself_and_no_copy() {
        let secret = Secret::new("Bearer hunter2");
        let place = secret.expose().as_ptr();
        let header = secret.into_header().unwrap();
        assert_eq!(header, "Bearer hunter2");
        assert_eq!(header.clone().as_bytes().as_ptr(), place);
    }

    #[test]
    fn what_would_be_a_second_header_is_none() {
        assert_eq!(Secret::new("hunter2\r\nHost: evil").into_header(), None);
    }
}
