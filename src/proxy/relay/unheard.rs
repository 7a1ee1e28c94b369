//! An answer whose client has left before its end.
//!
//! In the revisions of MCP that have sessions, leaving does not take a request back: `notifications/cancelled` does (MCP
//! 2025-11-25, transports: "Disconnection SHOULD NOT be interpreted as the client cancelling its request"). But servers
//! of those revisions cannot tell a client that has left from one that takes back, and many end the work with the
//! connection. So a request that has reached the upstream is seen through for a while, and the answer dropped. It keeps
//! its place under the limits of its user and its route meanwhile.
//!
//! A stream whose events have ids is different. Its client comes back for the rest with `Last-Event-ID`, and servers
//! refuse that as long as somebody still reads the first stream, so they have to see that nobody does.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use memchr::memmem;
use pingora::{protocols::http::ServerSession, proxy::Session};

use crate::proxy::{access::Readable, exchange::Exchange, underway::End};

/// A request has gone upstream whole: from here on it does without its client, if its revision wants that.
pub fn see_through(session: &mut Session, exchange: &Exchange) {
    if session.req_header().method != Method::POST || exchange.sessionless {
        return;
    }
    exchange.line.needs_client(false);
    if let ServerSession::H2(http2) = session.as_downstream_mut() {
        let line = Arc::clone(&exchange.line);
        http2.set_on_client_left(Some(Box::new(move || line.goes_on_alone())));
    }
}

/// Looks at a piece of the answer: nobody waits for it any longer where it can be taken up again or becomes too much.
pub fn see_unheard(exchange: &mut Exchange, piece: Option<&Bytes>) {
    let Some(piece) = piece.filter(|piece| !piece.is_empty() && !exchange.sessionless) else { return };
    let unheard = exchange.line.is_unheard();
    if exchange.resumable.is_none() || unheard {
        exchange.resumable = is_resumable(exchange.notes.stream(), piece);
        if exchange.resumable == Some(true) && !unheard {
            exchange.line.needs_client(true);
        }
    }
    if unheard {
        exchange.unheard += piece.len();
        if exchange.resumable == Some(true) || exchange.unheard > UNHEARD_BYTES {
            exchange.line.end(End::Unheard);
        }
    }
}

/// Whether an answer with this piece in it can be taken up again; none where the piece does not tell.
///
/// Servers give an id to all events of a stream or to none, and it stands before the data. A stream that cannot be read is
/// left to its server as well.
fn is_resumable(stream: Option<Readable>, piece: &[u8]) -> Option<bool> {
    match stream {
        None => Some(false),
        Some(Readable(false)) => Some(true),
        Some(Readable(true)) if has_event_id(piece) => Some(true),
        Some(Readable(true)) => memmem::find(piece, b"data:").map(|_| false),
    }
}

/// Whether a piece of an event stream has a line with an id.
fn has_event_id(piece: &[u8]) -> bool {
    piece.starts_with(b"id:") || memmem::find(piece, b"\nid:").is_some() || memmem::find(piece, b"\rid:").is_some()
}

/// How much of an answer is read without its client.
const UNHEARD_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_line_of_its_own() {
        for with in ["id: 1\ndata: {}\n\n", "event: message\r\nid:7\r\n\r\n", ": hello\rid: a\rdata: x\r\r"] {
            assert!(has_event_id(with.as_bytes()), "{with:?}");
        }
        for without in ["data: {\"id\":1}\n\n", "data: id: 1\n\n", "grid: 1\n", ""] {
            assert!(!has_event_id(without.as_bytes()), "{without:?}");
        }
    }
}
