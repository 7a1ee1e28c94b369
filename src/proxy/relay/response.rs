//! The answer as the client gets it: again only what may pass.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, response};
use pingora::http::ResponseHeader;

use super::{
    request::X_REQUEST_ID,
    session::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
};
use crate::{
    oauth::challenge::{BearerError, Challenge},
    proxy::{exchange::Exchange, failure::Failure},
};

/// What becomes of an upstream's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the client.
    Relay,
    /// It refuses the credential of a connection, which may be renewed.
    Renew,
    /// It asks for more scope than the connection has; holds the scope, if it says which.
    MoreScope(Option<String>),
    /// It redirects, and the redirect may be followed; holds the `Location`.
    Redirect(HeaderValue),
    /// It does not go to the client.
    Refuse(Failure),
}

/// Judges an answer by its status.
///
/// An upstream's 401 and 403 are about the gateway's credential, which the client did not choose. Relayed, they would
/// send the client off to log in somewhere else. A connection can be renewed, or given more scope (RFC 6750 section 3.1).
pub fn judge(head: &ResponseHeader, exchange: &Exchange) -> Verdict {
    match head.status {
        _ if !is_plainly_framed(head) => Verdict::Refuse(Failure::UpstreamBroken),
        StatusCode::UNAUTHORIZED if exchange.by_connection => Verdict::Renew,
        StatusCode::FORBIDDEN if exchange.by_connection => match insufficient_scope(head) {
            Some(challenge) => Verdict::MoreScope(challenge.parameter("scope").map(str::to_owned)),
            None => Verdict::Refuse(Failure::UpstreamUnauthorized),
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Verdict::Refuse(Failure::UpstreamUnauthorized)
        }
        status if redirects(status) && exchange.target.as_ref().is_some_and(|to| to.server.follow_redirects) => {
            match head.headers.get(header::LOCATION) {
                Some(location) => Verdict::Redirect(location.clone()),
                None => Verdict::Refuse(Failure::UpstreamRedirect),
            }
        }
        _ => Verdict::Relay,
    }
}

/// Leaves of an upstream's head only what may pass, with the session id sealed; `stream` says that it opens a stream.
pub fn relay_head(head: &mut ResponseHeader, exchange: &mut Exchange, stream: bool) {
    let nothing = ResponseHeader::from(http::Response::new(()).into_parts().0);
    let mut parts = response::Parts::from(std::mem::replace(head, nothing));
    if let (Some(plain), Some(permit), false) =
        (parts.headers.remove(MCP_SESSION_ID), &exchange.permit, exchange.sessionless)
        && let Some(sealed) = exchange.rules.sessions.seal(exchange.mcp_session.as_ref(), &plain, permit)
    {
        parts.headers.insert(MCP_SESSION_ID, sealed);
    }
    let redirect = redirects(parts.status);
    let passes =
        |name: &HeaderName| PASSED.contains(name) || *name == MCP_SESSION_ID || (redirect && *name == header::LOCATION);
    if !parts.headers.keys().all(passes) {
        let mut passed = HeaderMap::with_capacity(parts.headers.len() + 6);
        for (name, value) in parts.headers.iter().filter(|(name, _)| passes(name)) {
            passed.append(name.clone(), value.clone());
        }
        parts.headers = passed;
    }
    if stream {
        parts.headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    }
    if !parts.status.is_informational() {
        parts.headers.insert(X_REQUEST_ID, exchange.id().to_value());
    }
    *head = ResponseHeader::from(parts);
}

/// The challenge that asks for more scope.
fn insufficient_scope(head: &ResponseHeader) -> Option<Challenge> {
    let lines = head.headers.get_all(header::WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes);
    let asks = |challenge: &Challenge| {
        challenge.is("Bearer") && challenge.parameter("error") == Some(BearerError::InsufficientScope.as_str())
    };
    Challenge::parse(lines).into_iter().find(asks)
}

/// Whether nobody can read the end of an answer otherwise than we do: with other codings than the chunked one some would
/// read it to the end of the connection, and some in chunks (RFC 9112 section 6.3).
fn is_plainly_framed(head: &ResponseHeader) -> bool {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    let plain = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    plain && codings.next().is_none()
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 300..=303 | 307 | 308)
}

/// Whether an answer is a stream of server-sent events, which may be silent for as long as it likes.
pub fn is_event_stream(head: &ResponseHeader) -> bool {
    head.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        let essence = value.iter().position(|&byte| byte == b';').map_or(value, |end| &value[..end]);
        essence.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What may pass; framing is included because Pingora reads it here.
static PASSED: [HeaderName; 14] = [
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::DATE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
    header::TRANSFER_ENCODING,
    header::VARY,
    MCP_PROTOCOL_VERSION,
    ACCEL_BUFFERING,
];
