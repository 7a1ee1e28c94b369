//! What telemetry remembers of an exchange while it is under way.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::telemetry::{
    Call, Span,
    counters::{Held, OPEN_STREAMS},
    peek::{self, Glance},
};

/// What telemetry remembers of an exchange while it is under way.
#[derive(Default)]
pub struct Notes {
    /// The MCP message, once something of it was seen.
    pub(super) call: Option<Call>,
    /// Its place in a trace.
    pub(in crate::proxy) trace: Option<Span>,
    /// Whether the client's headers say where.
    pub(super) traced: bool,
    /// Whether the beginning of the request has passed by.
    seen: bool,
    /// Whether it has gone to the upstream.
    passed: bool,
    /// When the upstream's part began.
    upstream: Option<Instant>,
    /// When it ended.
    answered: Option<Instant>,
    answer: Answer,
    error: bool,
    stream: Option<Held>,
}

/// Whether the events of a stream can be looked into.
pub struct Readable(pub bool);

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

    /// When the upstream's part began.
    pub(super) const fn upstream_began(&self) -> Option<Instant> {
        self.upstream
    }

    /// How long the upstream's part took.
    pub(super) fn upstream_time(&self, now: Instant) -> Option<Duration> {
        self.upstream.map(|begun| self.answered.unwrap_or(now).saturating_duration_since(begun))
    }

    /// Looks at the beginning of a request, once.
    ///
    /// The trace that it names in its `_meta` is ours if nobody has been told of another one yet, and linked to otherwise.
    pub(super) fn look(&mut self, piece: Option<&Bytes>) {
        let Some(piece) = piece.filter(|_| !self.seen) else { return };
        self.seen = true;
        let wants_trace = !self.traced && self.trace.is_some();
        if self.call.is_some() && !wants_trace {
            return;
        }
        let Some(Glance { call, trace }) = peek::request(piece, wants_trace) else { return };
        self.call.get_or_insert(call);
        if let (Some(own), Some(caller)) = (&mut self.trace, trace) {
            if self.upstream.is_none() {
                let (parent, sampled) = (Some(caller.span_id), caller.sampled);
                *own = Span { trace_id: caller.trace_id, parent, sampled, ..*own };
            } else {
                own.link = Some(caller);
            }
        }
    }

    /// The message, when it goes to the upstream for the first time.
    pub(super) fn passes(&mut self) -> Option<&Call> {
        let first = !std::mem::replace(&mut self.passed, self.call.is_some());
        self.call.as_ref().filter(|_| first)
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

    /// Whether the answer can be read, where it is an event stream.
    pub fn stream(&self) -> Option<Readable> {
        self.stream.as_ref().map(|_| Readable(self.answer == Answer::Stream))
    }

    /// Whether the upstream reported an error.
    pub(super) const fn reports_error(&self) -> bool {
        self.error
    }
}
