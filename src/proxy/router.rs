//! Decides what a request is for by its method and its exact path.

use std::sync::Arc;

use http::Method;
use pingora::proxy::Session;

use super::{Endpoints, failure::Failure};
use crate::{
    octets,
    routes::{Route, Routes},
};

/// What a request is for.
#[derive(Debug, Clone)]
pub enum Destination {
    /// An MCP route.
    Route(Arc<Route>),
    /// An endpoint of the gateway itself.
    Endpoint,
}

/// The methods that some path answers.
pub const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Checks method and request target before anything else looks at them.
///
/// TRACE and CONNECT are nobody's, and a target with a fragment, a backslash or other bytes that no URI has is refused:
/// programs disagree on what such a target means (RFC 9112 section 3).
pub fn check_request_line(session: &Session, endpoints: &dyn Endpoints) -> Result<(), Failure> {
    let head = session.req_header();
    check_method(&head.method, || endpoints.refuses_writes(head.uri.path()))?;
    if !head.uri.path().starts_with('/') {
        return Err(Failure::BadTarget);
    }
    match session.as_http1() {
        Some(http1) => check_target(target_as_sent(&http1.get_headers_raw_bytes())),
        None => check_target(head.raw_path()),
    }
}

fn check_method(method: &Method, refuses_writes: impl FnOnce() -> bool) -> Result<(), Failure> {
    let known = [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD].contains(method)
        || ([Method::PUT, Method::PATCH].contains(method) && refuses_writes());
    if known { Ok(()) } else { Err(Failure::MethodNotAllowed(METHODS)) }
}

fn check_target(target: &[u8]) -> Result<(), Failure> {
    let ordinary = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\');
    if octets::are_all(target, ordinary) { Ok(()) } else { Err(Failure::BadTarget) }
}

/// The second word of the request line; parsed targets have lost their fragment.
fn target_as_sent(head: &[u8]) -> &[u8] {
    let line = head.split(|byte| *byte == b'\r' || *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
    line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

/// Where a path leads: to the route of exactly this path, to an endpoint, or nowhere.
///
/// Paths are compared byte by byte: nothing is decoded, no dot segment removed, no slash merged. What would only mean a
/// route after such a repair leads nowhere.
pub fn destination(routes: &Routes, endpoints: &dyn Endpoints, path: &str) -> Result<Destination, Failure> {
    if let Some(route) = routes.at(path) {
        return Ok(Destination::Route(Arc::clone(route)));
    }
    if endpoints.claims(path) { Ok(Destination::Endpoint) } else { Err(Failure::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_methods_that_some_path_answers_go_on() {
        let check = |method: &str| check_method(&Method::from_bytes(method.as_bytes()).unwrap(), || false);
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            assert_eq!(check(method), Ok(()), "{method}");
        }
        for method in ["TRACE", "CONNECT", "PUT", "PATCH", "TRACK", "PRI", "get"] {
            assert_eq!(check(method), Err(Failure::MethodNotAllowed(METHODS)), "{method}");
        }
    }

    #[test]
    fn a_target_with_bytes_that_no_path_has_is_refused() {
        let check =
            |target: &str| check_target(target_as_sent(format!("GET {target} HTTP/1.1\r\nA: b\r\n").as_bytes()));
        assert_eq!(check("/mcp/a?x=1"), Ok(()));
        for target in ["/mcp/a#b", "/mcp\\a", "/mcp/a?x#y", "/mcp/\u{e4}", "/mcp/\u{7f}", "/mcp/\u{1}"] {
            assert_eq!(check(target), Err(Failure::BadTarget), "{target}");
        }
    }
}
