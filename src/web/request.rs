//! One request to an endpoint of the gateway itself.

use std::{cell::RefCell, fmt, net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Caller, Origin};
use crate::crypto::random_bytes;

/// Names one request in answers and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A new identifier of 128 random bits.
    ///
    /// It is no secret, so every thread fetches the randomness of many at once.
    pub fn random() -> Self {
        thread_local!(static RANDOM: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) });
        let bits = RANDOM.with_borrow_mut(|pool| {
            if pool.is_empty() {
                pool.extend_from_slice(random_bytes::<512>().as_chunks().0);
            }
            pool.pop().unwrap_or_default()
        });
        let mut text = [0; 22];
        let length = URL_SAFE_NO_PAD.encode_slice(bits, &mut text).unwrap_or_default();
        Self(std::str::from_utf8(&text[..length]).unwrap_or_default().into())
    }

    /// The caller's own identifier, if it is short and harmless enough to repeat in logs and pages.
    pub fn accepted(text: &str) -> Option<Self> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        ((8..=64).contains(&text.len()) && text.bytes().all(harmless)).then(|| Self(text.into()))
    }

    /// The identifier as the value of a header.
    pub fn to_value(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("-"))
    }

    /// The identifier, for what outlives its request.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request whose body has been read within the limits.
pub struct Request {
    /// The method; `HEAD` comes as `GET`, since the edge drops the body of the answer.
    pub method: Method,
    /// The path as sent, still percent-encoded.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// How the outside reaches us.
    pub origin: Origin,
    /// The peer of the connection; a proxy in front of us hides the browser's.
    pub peer: Option<IpAddr>,
    /// Whose address it is counted for, behind the proxies that we trust.
    pub caller: Option<Caller>,
    /// Its name in the log.
    pub id: RequestId,
}

impl Request {
    /// The value of a header, if it is there exactly once and is visible ASCII.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }

    /// Whether the browser says that one of our own pages sent this (Fetch Metadata, else `Origin`).
    ///
    /// A form post without either header is refused by the callers: every browser of the last years sends one.
    pub fn is_same_origin(&self) -> bool {
        if let Some(site) = self.headers.get("sec-fetch-site") {
            return site == "same-origin";
        }
        self.header(&http::header::ORIGIN).is_some_and(|origin| origin == self.origin.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::RequestId;

    #[test]
    fn every_request_gets_an_identifier_of_its_own() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| RequestId::random().to_string()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| RequestId::accepted(id).is_some() && id.len() == 22));
    }

    #[test]
    fn only_harmless_request_ids_are_taken_over() {
        assert!(RequestId::accepted("0af7651916cd43dd8448eb211c80319c").is_some());
        for bad in ["", "short", "with space in it", "new\nline-new-line", &"a".repeat(65), "<script>alert"] {
            assert!(RequestId::accepted(bad).is_none(), "{bad:?}");
        }
    }
}
