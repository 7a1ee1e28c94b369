//! One answer of an endpoint of the gateway itself.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::RequestId;

/// An answer that fits into memory.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers; the edge adds the length and the request id.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Why this refuses what was asked, for the log; none where it does not.
    pub refusal: Option<&'static str>,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), refusal: None }
            .with(header::CACHE_CONTROL, "no-store")
    }

    /// A JSON answer that nobody may keep.
    #[expect(clippy::missing_panics_doc, clippy::expect_used, reason = "the documents have string keys only")]
    pub fn json(status: StatusCode, document: &impl Serialize) -> Self {
        let mut response = Self::empty(status).with(header::CONTENT_TYPE, "application/json");
        response.body = serde_json::to_vec(document).expect("a document serializes").into();
        response
    }

    /// A document that everybody may read and keep for a short while.
    pub fn document(document: &impl Serialize) -> Self {
        let mut response = Self::json(StatusCode::OK, document).for_every_origin();
        response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        response.with(header::VARY, "Host, X-Forwarded-Host, X-Forwarded-Proto")
    }

    /// Answers a preflight (Fetch standard, CORS protocol). No endpoint that answers so looks at cookies, so every origin
    /// may call it.
    pub fn preflight(methods: &str) -> Self {
        Self::empty(StatusCode::NO_CONTENT)
            .for_every_origin()
            .with(header::ACCESS_CONTROL_ALLOW_METHODS, methods)
            .with(header::ACCESS_CONTROL_ALLOW_HEADERS, "Authorization, Content-Type, Accept, MCP-Protocol-Version")
            .with(header::ACCESS_CONTROL_MAX_AGE, "86400")
    }

    /// A page under the given content security policy; nobody may keep, frame or sniff it.
    ///
    /// Its address goes to no other site, but our forms tell us their origin: under `no-referrer` they would say `null`
    /// (Fetch standard, "append a request `Origin` header"). The window keeps its opener, since clients that are web
    /// pages open us in a popup and wait for its word.
    pub fn page(status: StatusCode, html: String, content_security_policy: &str) -> Self {
        let mut response = Self::empty(status)
            .with(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .with(header::CONTENT_SECURITY_POLICY, content_security_policy)
            .with(header::X_FRAME_OPTIONS, "DENY")
            .with(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .with(header::REFERRER_POLICY, "same-origin");
        response.body = html.into();
        response
    }

    /// Sends the browser elsewhere with a GET (RFC 9110 section 15.4.4), and nobody may keep it.
    pub fn see_other(location: &str) -> Self {
        Self::empty(StatusCode::SEE_OTHER).with(header::LOCATION, location).with(header::REFERRER_POLICY, "no-referrer")
    }

    /// The method is not one of `allow` (RFC 9110 section 15.5.6).
    pub fn method_not_allowed(id: &RequestId, allow: &str) -> Self {
        Self::problem(id, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").with(header::ALLOW, allow)
    }

    /// Nothing is at this path.
    pub fn not_found(id: &RequestId) -> Self {
        Self::problem(id, StatusCode::NOT_FOUND, "not_found")
    }

    /// A problem document (RFC 9457) of a refusal.
    fn problem(id: &RequestId, status: StatusCode, reason: &'static str) -> Self {
        let mut response = Self::empty(status).with(header::CONTENT_TYPE, "application/problem+json").because(reason);
        let document = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "reason": reason,
            "requestId": id.as_str(),
        });
        response.body = document.to_string().into();
        response
    }

    /// This answer with the reason that the log gives for it.
    #[must_use]
    pub fn because(mut self, reason: &'static str) -> Self {
        self.refusal = Some(reason);
        self
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
