//! How a person's own API key goes upstream.

use http::{HeaderName, HeaderValue};

use crate::crypto::Secret;

/// Where an API key stands in a request, and where people get one.
#[derive(Debug, Clone)]
pub struct KeySettings {
    /// The header.
    pub header: HeaderName,
    /// The word before the key, such as `Bearer`.
    pub scheme: Option<String>,
    /// Where people find their key, for the page that asks for it.
    pub help: Option<String>,
}

impl KeySettings {
    /// The header with a key; none if the key cannot stand in one.
    pub fn header(&self, key: &str) -> Option<(HeaderName, HeaderValue)> {
        let fits = (1..=LONGEST_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        let text = match &self.scheme {
            Some(scheme) => Secret::new(format!("{scheme} {key}")),
            None => Secret::new(key),
        };
        let value = text.into_header().filter(|_| fits)?;
        Some((self.header.clone(), value))
    }
}

const LONGEST_KEY: usize = 4096;
