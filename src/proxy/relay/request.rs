//! The request as the upstream gets it: built from what may pass, never by removing what may not.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, uri::InvalidUri};
use pingora::{http::RequestHeader, proxy::Session};
use tokio::{
    task::unconstrained,
    time::{Instant, timeout_at},
};

use super::{
    session::{MCP_PROTOCOL_VERSION, MCP_SESSION_ID},
    target::Target,
};
use crate::proxy::{
    access::{self, TRACEPARENT, TRACESTATE},
    exchange::Exchange,
    failure::Failure,
    limits::{self, ReadError},
    underway::{KeptBody, MCP_METHOD, Underway},
};

/// Rewrites the head of a relayed request for the upstream of `exchange`.
///
/// Only the headers of MCP and the framing of the body pass. The target is the configured one, so nothing of the
/// client's path reaches the upstream; the credential of the upstream comes last and wins.
pub fn write_head(head: &mut RequestHeader, exchange: &mut Exchange, client: &Session) -> pingora::Result<()> {
    let (Some(target), Some(credential)) = (exchange.target.clone(), exchange.credential.clone()) else {
        return Err(exchange.fail(Failure::Internal));
    };
    let uri = match exchange.redirects.location() {
        Some(location) => location.clone(),
        None => match upstream_uri(&target, client) {
            Ok(uri) => uri,
            Err(_invalid) => return Err(exchange.fail(Failure::BadTarget)),
        },
    };
    // Over HTTP/1 Pingora leaves out the headers unless it had to take some away.
    let from = if head.headers.is_empty() { &client.req_header().headers } else { &head.headers };
    let mut headers = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if let Some(name) = passed(name).filter(|name| !withheld(name, exchange)) {
            headers.append(name, value.clone());
        }
    }
    if let Some(plain) = exchange.mcp_session.as_ref().and_then(|session| session.plain.as_ref()) {
        headers.insert(MCP_SESSION_ID, plain.clone());
    }
    if let Some((name, value)) = framing(head, exchange, client) {
        headers.insert(name, value);
    }
    headers.insert(header::HOST, target.authority.clone());
    headers.insert(X_REQUEST_ID, exchange.id().to_value());
    access::pass_trace_on(exchange, &mut headers);
    for (name, value) in credential.headers() {
        headers.insert(name.clone(), value.clone());
    }
    let (mut parts, ()) = http::Request::new(()).into_parts();
    (parts.method, parts.uri, parts.version, parts.headers) = (head.method.clone(), uri, head.version, headers);
    let mut clean = RequestHeader::from(parts);
    if let Some(end) = head.send_end_stream() {
        clean.set_send_end_stream(end);
    }
    *head = clean;
    Ok(())
}

/// The configured path and query, and behind them the client's query where it is wanted.
fn upstream_uri(target: &Target, client: &Session) -> Result<Uri, InvalidUri> {
    let wanted = target.server.forward_search;
    let from_client = client.req_header().uri.query().filter(|query| wanted && !query.is_empty());
    let Some(from_client) = from_client else { return Ok(target.uri.clone()) };
    let divider = if target.uri.query().is_some() { '&' } else { '?' };
    Uri::try_from(format!("{}{divider}{from_client}", target.uri))
}

/// How long the body is: as the client said, or as it was read.
fn framing(head: &RequestHeader, exchange: &Exchange, client: &Session) -> Option<(HeaderName, HeaderValue)> {
    if let Some(body) = &exchange.body
        && (!body.is_empty() || chunked(client.req_header()))
    {
        return Some((header::CONTENT_LENGTH, body.len().into()));
    }
    match limits::content_length(client) {
        Some(length) => Some((header::CONTENT_LENGTH, length.into())),
        None if head.version == Version::HTTP_11 && chunked(client.req_header()) => {
            Some((header::TRANSFER_ENCODING, HeaderValue::from_static("chunked")))
        }
        None => None,
    }
}

fn chunked(client: &RequestHeader) -> bool {
    client.headers.contains_key(header::TRANSFER_ENCODING)
}

/// Whether a header does not go upstream with this exchange although it may with others.
///
/// An answer that is narrowed must come uncoded. What repeats the body in the headers was compared with it in the modern
/// era only; in the older one it would be a second truth beside the one that was judged.
fn withheld(name: &HeaderName, exchange: &Exchange) -> bool {
    if exchange.sessionless && *name == LAST_EVENT_ID {
        return true;
    }
    exchange.filter.is_some()
        && (*name == header::ACCEPT_ENCODING
            || (!exchange.sessionless
                && (*name == MCP_METHOD || *name == MCP_NAME || name.as_str().starts_with("mcp-param-"))))
}

/// A client's header that goes upstream, by a name that costs nothing to copy where it is a known one.
///
/// Framing, `Host`, the session and the credential are set, not passed.
fn passed(name: &HeaderName) -> Option<HeaderName> {
    Some(match name.as_str() {
        "accept" => header::ACCEPT,
        "accept-encoding" => header::ACCEPT_ENCODING,
        "accept-language" => header::ACCEPT_LANGUAGE,
        "content-encoding" => header::CONTENT_ENCODING,
        "content-language" => header::CONTENT_LANGUAGE,
        "content-type" => header::CONTENT_TYPE,
        "user-agent" => header::USER_AGENT,
        "last-event-id" => LAST_EVENT_ID,
        "mcp-protocol-version" => MCP_PROTOCOL_VERSION,
        "mcp-method" => MCP_METHOD,
        "mcp-name" => MCP_NAME,
        "traceparent" => TRACEPARENT,
        "tracestate" => TRACESTATE,
        "baggage" => BAGGAGE,
        other if other.starts_with("mcp-param-") => name.clone(),
        _ => return None,
    })
}

/// Reads the body of a request that may have to be sent again or must be looked at, and keeps it with the exchange.
///
/// Small bodies cost nothing but the room that their requests have anyway; the larger ones share what `underway` has.
pub async fn keep_body(
    session: &mut Session,
    exchange: &mut Exchange,
    underway: &Arc<Underway>,
) -> Result<(), ReadError> {
    let length = limits::content_length(session);
    if length.is_some_and(|length| length > limits::REPLAY_BODY) {
        return Err(ReadError::Failed(Failure::BodyTooLarge));
    }
    limits::send_continue(session).await?;
    let (mut only, mut body, mut deadline) = (Bytes::new(), BytesMut::new(), None);
    loop {
        let read = only.len() + body.len();
        let next = if let Some(at_hand) = unconstrained(session.read_request_body()).now_or_never() {
            at_hand
        } else {
            if read > 0 && deadline.is_none() {
                deadline = Some(Instant::now() + underway.patience().kept_body);
            }
            let silence = Instant::now() + limits::BODY_SILENCE;
            let until = deadline.map_or(silence, |deadline| deadline.min(silence));
            match timeout_at(until, session.read_request_body()).await {
                Err(_elapsed) => return Err(ReadError::Failed(Failure::BodyTooSlow)),
                Ok(next) => next,
            }
        };
        match next {
            Err(error) => return Err(ReadError::Broken(error)),
            Ok(None) => break,
            Ok(Some(part)) if read + part.len() > limits::REPLAY_BODY => {
                return Err(ReadError::Failed(Failure::BodyTooLarge));
            }
            Ok(Some(part)) if read == 0 => only = part,
            Ok(Some(part)) => {
                let size = read + part.len();
                if size > SMALL_BODY {
                    let kept = exchange.kept.get_or_insert_with(|| KeptBody::of(Arc::clone(underway)));
                    kept.grow(size).map_err(|_full| ReadError::Failed(Failure::Overloaded))?;
                }
                body.extend_from_slice(&std::mem::take(&mut only));
                body.extend_from_slice(&part);
            }
        }
    }
    exchange.body = Some(if body.is_empty() { only } else { body.freeze() });
    Ok(())
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The header by which a request is found in logs, ours and the upstream's.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The largest body that takes no room of its own: as much as one read gives.
const SMALL_BODY: usize = 64 * 1024;
/// How much of a body an HTTP/2 upstream takes before it reads any (RFC 9113 section 6.9.2).
pub const HTTP2_WINDOW: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_of_mcp_pass_and_those_of_identity_do_not() {
        for name in [
            "accept",
            "accept-encoding",
            "accept-language",
            "content-encoding",
            "content-language",
            "content-type",
            "user-agent",
            "last-event-id",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
            "mcp-param-region",
            "traceparent",
            "tracestate",
            "baggage",
        ] {
            let name = HeaderName::from_static(name);
            assert_eq!(passed(&name), Some(name));
        }
        for name in [
            "authorization",
            "cookie",
            "proxy-authorization",
            "x-forwarded-for",
            "x_forwarded_for",
            "forwarded",
            "x-user",
            "x_user",
            "mcp-session-id",
            "mcp_session_id",
            "host",
            "connection",
            "te",
            "upgrade",
            "expect",
            "content-length",
            "transfer-encoding",
            "origin",
            "referer",
            "via",
            "mcp-paramx",
            "x-request-id",
        ] {
            assert_eq!(passed(&HeaderName::from_static(name)), None, "{name}");
        }
    }
}
