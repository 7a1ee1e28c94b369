//! The answer of an upstream, narrowed as it comes: events one by one, a JSON document when it is complete.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};

use super::{Filter, Unfiltered};
use crate::{
    mcp::filter::{EventFilter, MAX_EVENT_BYTES, Narrowed, narrow},
    policy::CallerView,
};

/// How the body of the answer is narrowed.
pub enum Answer {
    /// Its head has not come yet.
    NotYet,
    /// Not at all.
    Passed,
    /// There is none, or none that a client of MCP reads.
    Dropped,
    /// A JSON document, held until it is complete.
    Json(BytesMut),
    /// Events.
    Events(EventFilter),
}

impl Filter {
    /// Makes ready for the body that a head announces; fails where it could not be read.
    ///
    /// The length changes, so a client of HTTP/1.1 gets the body in chunks. Where no message is expected, in answer to a
    /// DELETE or under no media type, a body is left out rather than held against the upstream.
    pub fn head(
        &mut self,
        head: &mut ResponseHeader,
        client: &RequestHeader,
    ) -> pingora::Result<Result<(), Unfiltered>> {
        let coded = head.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity");
        let content = essence(&head.headers);
        let has_body = !matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let length = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if has_body && (coded || length.is_some_and(|length: usize| length > MAX_JSON_BYTES)) {
            return Ok(Err(Unfiltered));
        }
        self.answer = match content.as_str() {
            _ if !has_body || length == Some(0) => Answer::Dropped,
            "text/event-stream" => Answer::Events(EventFilter::new(self.apology.clone())),
            "application/json" if self.trusts_json => Answer::Passed,
            "application/json" => Answer::Json(BytesMut::new()),
            "" => Answer::Dropped,
            _ if head.status.is_success() && client.method != Method::DELETE => return Ok(Err(Unfiltered)),
            _ => Answer::Dropped,
        };
        match self.answer {
            Answer::Passed | Answer::NotYet => return Ok(Ok(())),
            Answer::Dropped if !has_body || length == Some(0) => return Ok(Ok(())),
            _ => {}
        }
        for name in [header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED] {
            head.remove_header(&name);
        }
        if client.version == Version::HTTP_11 {
            head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
        }
        Ok(Ok(()))
    }
}

impl Answer {
    /// Takes a part of the body and leaves of it what goes on.
    pub fn body(
        &mut self,
        view: &CallerView,
        apology: &mut Option<String>,
        body: &mut Option<Bytes>,
        end: bool,
    ) -> Result<(), Unfiltered> {
        match self {
            Self::Passed => {}
            Self::NotYet | Self::Dropped => *body = None,
            Self::Json(held) => {
                let part = body.take().unwrap_or_default();
                if !end {
                    held.extend_from_slice(&part);
                } else if held.is_empty() {
                    *body = document(&part, view, apology);
                } else {
                    held.extend_from_slice(&part);
                    *body = document(&std::mem::take(held).freeze(), view, apology);
                }
                if held.len() > MAX_JSON_BYTES {
                    return Err(Unfiltered);
                }
                if end {
                    *self = Self::Dropped;
                }
            }
            Self::Events(events) => {
                if let Some(part) = body.take() {
                    let out = events.push(&part, view).or(Err(Unfiltered))?;
                    *body = (!out.is_empty()).then(|| out.into());
                }
            }
        }
        Ok(())
    }
}

/// A complete document, narrowed; the apology in place of one that cannot be read.
fn document(text: &Bytes, view: &CallerView, apology: &mut Option<String>) -> Option<Bytes> {
    if text.is_empty() {
        return None;
    }
    match std::str::from_utf8(text).map(|text| narrow(text, view)) {
        Ok(Ok(Narrowed::Unchanged)) => Some(text.clone()),
        Ok(Ok(Narrowed::Changed(text))) => Some(text.into()),
        Ok(Ok(Narrowed::Dropped)) => None,
        Ok(Err(_)) | Err(_) => apology.take().map(Bytes::from),
    }
}

/// The media type without its parameters, in lower case.
fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// How much of a JSON document is held.
const MAX_JSON_BYTES: usize = MAX_EVENT_BYTES;
