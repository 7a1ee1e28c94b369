//! What telemetry remembers of an exchange while it is under way.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::telemetry::{
    Call,
    counters::{Held, OPEN_STREAMS},
    peek,
};

/// What telemetry remembers of an exchange while it is under way.
#[derive(Default)]
pub struct Notes {
    /// The MCP message, once something of it was seen.
    pub(super) call: Option<Call>,
    /// Whether the beginning of the request has passed by.
    seen: bool,
    /// When the upstream's part began.
    upstream: Option<Instant>,
    /// When it ended.
    answered: Option<Instant>,
    answer: Answer,
    error: bool,
    stream: Option<Held>,
}

/// The kinds of answers that can be looked into.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// One JSON message.
    Json,
    /// An event stream with the answer in it.
    Stream,
    /// Something else, or compressed.
    #[default]
    Opaque,
}

impl Notes {
    /// The upstream's part begins, unless it has begun with an earlier attempt.
    pub fn begin_upstream(&mut self) {
        self.upstream.get_or_insert_with(Instant::now);
    }

    /// How long the upstream's part took.
    pub(super) fn upstream_time(&self, now: Instant) -> Option<Duration> {
        self.upstream.map(|begun| self.answered.unwrap_or(now).saturating_duration_since(begun))
    }

    /// What the beginning of a request says, when it passes by for the first time.
    pub(super) fn call_in(&mut self, piece: Option<&Bytes>) -> Option<&Call> {
        if let (Some(piece), false) = (piece, self.seen) {
            self.seen = true;
            if self.call.is_none() {
                self.call = peek::request(piece, false).map(|glance| glance.call);
            }
            return self.call.as_ref();
        }
        None
    }

    /// An answer begins.
    pub(super) fn begin_answer(&mut self, readable: bool, stream: bool) {
        if stream {
            self.stream.get_or_insert_with(|| OPEN_STREAMS.hold());
        }
        self.answer = match (readable, stream) {
            (false, _) => Answer::Opaque,
            (true, true) => Answer::Stream,
            (true, false) => Answer::Json,
        };
    }

    /// Looks at a piece of the answer that passes by.
    pub fn see_answer(&mut self, piece: Option<&Bytes>, end: bool) {
        if let (Some(piece), false) = (piece, self.error || self.answer == Answer::Opaque) {
            self.error = peek::reports_error(piece, self.answer == Answer::Stream);
        }
        if end {
            self.answered = Some(Instant::now());
        }
    }

    /// Whether the upstream reported an error.
    pub(super) const fn reports_error(&self) -> bool {
        self.error
    }
}
