//! Decides what a request is for by its method and its exact path.

use std::sync::Arc;

use http::Method;
use pingora::http::RequestHeader;

use super::{Endpoints, failure::Failure};
use crate::routes::{Route, Routes};

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
pub fn check_request_line(head: &RequestHeader) -> Result<(), Failure> {
    if ![Method::GET, Method::POST, Method::DELETE, Method::OPTIONS, Method::HEAD].contains(&head.method) {
        return Err(Failure::MethodNotAllowed(METHODS));
    }
    let strange = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'\\');
    if head.raw_path().iter().copied().any(strange) || !head.uri.path().starts_with('/') {
        return Err(Failure::BadTarget);
    }
    Ok(())
}

/// Where a path leads.
///
/// Paths are compared byte by byte: nothing is decoded, no dot segment removed, no slash merged. What only means a route
/// after such a repair leads nowhere.
pub fn route(routes: &Routes, endpoints: &dyn Endpoints, path: &str) -> Result<Destination, Failure> {
    if let Some(route) = routes.at(path) {
        return Ok(Destination::Route(Arc::clone(route)));
    }
    if endpoints.claims(path) { Ok(Destination::Endpoint) } else { Err(Failure::NotFound) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, target: &[u8]) -> Result<(), Failure> {
        check_request_line(&RequestHeader::build(method, target, None).unwrap())
    }

    #[test]
    fn only_the_methods_that_some_path_answers_go_on() {
        for method in ["GET", "HEAD", "POST", "DELETE", "OPTIONS"] {
            assert_eq!(check(method, b"/mcp/a"), Ok(()), "{method}");
        }
        for method in ["TRACE", "PUT", "PATCH", "TRACK", "PRI", "get"] {
            assert_eq!(check(method, b"/mcp/a"), Err(Failure::MethodNotAllowed(METHODS)), "{method}");
        }
    }

    #[test]
    fn a_target_with_bytes_that_no_path_has_is_refused() {
        for target in [&b"/mcp/a#b"[..], b"/mcp\\a", b"/mcp/a?x#y", b"*", b"/mcp/\xc3\xa4"] {
            assert_eq!(check("GET", target), Err(Failure::BadTarget), "{}", String::from_utf8_lossy(target));
        }
    }
}
