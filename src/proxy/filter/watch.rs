//! A list of tools that passes whole, looked at as it goes by: where tools are pinned but nothing is hidden.

use bytes::{Bytes, BytesMut};
use http::header;
use pingora::http::ResponseHeader;

use crate::{
    mcp::filter::{EventFilter, MAX_EVENT_BYTES, narrow},
    policy::CallerView,
    proxy::{access, exchange::Exchange, relay},
};

/// Looks at the answer to one `tools/list`; nothing else is looked at, and the client gets it without waiting.
pub struct Watch {
    view: CallerView,
    answer: Answer,
}

enum Answer {
    Json(BytesMut),
    Events(EventFilter),
    /// It cannot be read, or all of it was.
    Done,
}

impl Watch {
    /// Looks at an answer that begins, if there is something to look at.
    pub fn of(exchange: &Exchange, head: &ResponseHeader) -> Option<Self> {
        if !access::lists_tools(exchange) || head.headers.contains_key(header::CONTENT_ENCODING) {
            return None;
        }
        let view = exchange.permit.as_ref()?.observed()?;
        let is_stream = relay::is_event_stream(head);
        let answer = if is_stream { Answer::Events(EventFilter::new(None)) } else { Answer::Json(BytesMut::new()) };
        Some(Self { view, answer })
    }

    /// Looks at a part of the body. What it finds is noted by the view.
    pub fn see(&mut self, part: Option<&Bytes>, end: bool) {
        let part = part.map(Bytes::as_ref).unwrap_or_default();
        let goes_on = match &mut self.answer {
            Answer::Json(held) if held.len() + part.len() <= MAX_EVENT_BYTES => {
                held.extend_from_slice(part);
                if end && let Ok(text) = std::str::from_utf8(held) {
                    // Nothing is hidden here, so that what is left of it and whether it could be read is all the same.
                    let _looked_at = narrow(text, &self.view);
                }
                !end
            }
            Answer::Events(events) => events.push(part, &self.view).is_ok(),
            Answer::Json(_) | Answer::Done => false,
        };
        if !goes_on {
            self.answer = Answer::Done;
        }
    }
}
