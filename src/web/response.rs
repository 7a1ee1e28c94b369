//! One answer of an endpoint of the gateway itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer that fits into memory.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers; the edge adds the length and the request id.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new() }.with(header::CACHE_CONTROL, "no-store")
    }

    /// A JSON answer that nobody may keep.
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "the documents have string keys only")]
    pub fn json(status: StatusCode, document: &impl Serialize) -> Self {
        let mut response = Self::empty(status).with(header::CONTENT_TYPE, "application/json");
        response.body = serde_json::to_vec(document).expect("a document serializes").into();
        response
    }

    /// A page under the given content security policy; nobody may keep, frame or sniff it.
    pub fn page(status: StatusCode, html: String, content_security_policy: &str) -> Self {
        let mut response = Self::empty(status)
            .with(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .with(header::CONTENT_SECURITY_POLICY, content_security_policy)
            .with(header::X_FRAME_OPTIONS, "DENY")
            .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(header::REFERRER_POLICY, "no-referrer")
            .with(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        response.body = html.into();
        response
    }

    /// Sends the browser elsewhere with a GET (RFC 9110 section 15.4.4), and nobody may keep it.
    pub fn see_other(location: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).with(header::LOCATION, location).with(header::REFERRER_POLICY, "no-referrer")
    }

    /// The method is not one of `allow` (RFC 9110 section 15.5.6).
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::empty(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, allow)
    }

    /// Readable by pages of every origin, without credentials (Fetch standard, CORS protocol).
    #[must_use]
    pub fn for_every_origin(self) -> Self {
        self.with(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
            .with(header::ACCESS_CONTROL_EXPOSE_HEADERS, "WWW-Authenticate, Retry-After, X-Request-Id")
    }

    /// This answer with one more header; a value that no header can carry is left out.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }
}
