//! The sample MCP server behind the demo gateway: stateless, in both eras, without any I/O.
//!
//! Its tools show what a gateway does: `whoami` names the headers that reached it, so that everyone can see that the
//! client's token did not.

mod fault;
mod legacy;
mod message;
mod modern;
mod tools;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, uri::Authority};
use serde_json::Value;
use url::{Host, Url};

use fault::Fault;
use message::Message;

/// One HTTP request to the sample server.
#[derive(Debug, Clone)]
pub struct SampleRequest {
    /// The method.
    pub method: Method,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The whole answer of the sample server.
#[derive(Debug, Clone)]
pub struct SampleResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers, without a length.
    pub headers: HeaderMap,
    /// The body: one JSON-RPC answer, or nothing.
    pub body: Vec<u8>,
}

/// Answers one request of either era.
///
/// A request that carries any mark of the modern era is answered as modern, even `initialize`, and every other one as
/// legacy. Only POST does something: there is no stream to open and no session to end.
pub fn answer(request: &SampleRequest) -> SampleResponse {
    if !is_local(&request.headers) {
        return SampleResponse::fault(StatusCode::FORBIDDEN, None, &Fault::ForeignOrigin);
    }
    if request.method != Method::POST {
        return SampleResponse::empty(StatusCode::METHOD_NOT_ALLOWED).with(header::ALLOW, "POST");
    }
    if !is_json(&request.headers) {
        return SampleResponse::empty(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(source) => return SampleResponse::fault(StatusCode::BAD_REQUEST, None, &Fault::Parse(source)),
    };
    let claimed = request.headers.get("mcp-protocol-version").and_then(|value| value.to_str().ok()).map(str::trim);
    let is_modern = claimed.is_some_and(modern::is_modern_version) || modern::has_modern_meta(&body);
    match body {
        Value::Array(_) if is_modern => SampleResponse::fault(StatusCode::BAD_REQUEST, None, &Fault::Batch),
        Value::Array(messages) => legacy::answer_batch(messages, claimed, &request.headers),
        body => match Message::parse(body) {
            Err(fault) => SampleResponse::fault(StatusCode::BAD_REQUEST, None, &fault),
            Ok(message) if is_modern => modern::answer(message, &request.headers),
            Ok(message) => legacy::answer(message, claimed, &request.headers),
        },
    }
}

impl SampleResponse {
    fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Vec::new() }
    }

    fn json(status: StatusCode, document: &Value) -> Self {
        let mut response = Self::empty(status).with(header::CONTENT_TYPE, "application/json");
        response.body = document.to_string().into_bytes();
        response
    }

    fn fault(status: StatusCode, id: Option<&Value>, fault: &Fault) -> Self {
        Self::json(status, &fault.envelope(id))
    }

    fn with(mut self, name: header::HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

/// Whether `Host` and `Origin`, where present, name this machine: a web page must not reach a server that listens on
/// loopback (DNS rebinding).
fn is_local(headers: &HeaderMap) -> bool {
    let host_is_local = |value: &HeaderValue| {
        let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        authority.and_then(|authority| Host::parse(authority.host()).ok()).is_some_and(|host| is_loopback(&host))
    };
    let origin_is_local = |value: &HeaderValue| {
        let url = value.to_str().ok().and_then(|text| Url::parse(text).ok());
        url.and_then(|url| url.host().map(|host| is_loopback(&host))).unwrap_or(false)
    };
    headers.get(header::HOST).is_none_or(host_is_local) && headers.get(header::ORIGIN).is_none_or(origin_is_local)
}

fn is_loopback<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
