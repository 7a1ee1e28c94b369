//! Events and spans for a collector that speaks OTLP over HTTP with protobuf.
//!
//! The background thread makes messages of records, and hands over a batch a second. A task of the gateway's runtime
//! sends them. What the collector does not take is dropped and counted: telemetry is never worth a gateway's memory.

mod export;
mod proto;
mod span;

use std::time::{Duration, Instant};

use prost::Message;
use tokio::sync::mpsc::{Sender, error::TrySendError};

pub use export::{Exporter, Post};

use self::proto::{
    AnyValue, KeyValue, LogRecord, Logs, Resource, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans, Span,
    Traces, Value,
};
use super::{
    Exchange,
    counters::{Counter, DROPPED_LOGS, DROPPED_SPANS},
    event::{Event, Fields},
};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans, to `/v1/traces`.
    Traces,
    /// Events, to `/v1/logs`.
    Logs,
}

/// One message on its way.
pub(super) struct Batch {
    signal: Signal,
    body: Vec<u8>,
    count: u64,
}

/// What waits to be handed over.
pub(super) struct Pending {
    spans: Vec<Span>,
    records: Vec<LogRecord>,
    since: Instant,
    sender: Sender<Batch>,
}

impl Signal {
    /// The path below the endpoint.
    const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Logs => "v1/logs",
        }
    }

    const fn dropped(self) -> &'static Counter {
        match self {
            Self::Traces => &DROPPED_SPANS,
            Self::Logs => &DROPPED_LOGS,
        }
    }
}

impl Pending {
    pub(super) fn new(sender: Sender<Batch>) -> Self {
        Self { spans: Vec::new(), records: Vec::new(), since: Instant::now(), sender }
    }

    /// Takes an event; `at` is in nanoseconds since 1970.
    pub(super) fn event(&mut self, event: &Event<'_>, at: u64) {
        let mut attributes = Attributes(Vec::with_capacity(16));
        event.describe(&mut attributes);
        let (severity_number, trace) = (severity(event.level()), event.trace());
        let body = AnyValue { value: Some(Value::Text(event.message().to_owned())) };
        self.records.push(LogRecord {
            time_unix_nano: at,
            severity_number,
            severity_text: event.level().to_owned(),
            body: Some(body),
            attributes: attributes.0,
            trace_id: trace.map(|trace| trace.trace_id.0.to_vec()).unwrap_or_default(),
            span_id: trace.and_then(|trace| trace.own).map(|span| span.0.to_vec()).unwrap_or_default(),
            event_name: event.name().to_owned(),
        });
    }

    /// Takes the spans of an exchange, if it is sampled; `end` is in nanoseconds since 1970.
    pub(super) fn spans(&mut self, exchange: &Exchange, end: u64) {
        span::of(exchange, end, &mut self.spans);
    }

    /// Hands over what is full or has waited long enough.
    pub(super) fn hand_over(&mut self, now: bool) {
        let enough = self.spans.len().max(self.records.len()) >= FULL;
        if !(now || enough || self.since.elapsed() >= EVERY) {
            return;
        }
        self.since = Instant::now();
        if !self.spans.is_empty() {
            let (count, spans) = (self.spans.len() as u64, std::mem::take(&mut self.spans));
            let scopes = vec![ScopeSpans { scope: Some(scope()), spans }];
            let body = Traces { resources: vec![ResourceSpans { resource: Some(resource()), scopes }] }.encode_to_vec();
            self.send(Batch { signal: Signal::Traces, body, count });
        }
        if !self.records.is_empty() {
            let (count, records) = (self.records.len() as u64, std::mem::take(&mut self.records));
            let scopes = vec![ScopeLogs { scope: Some(scope()), records }];
            let body = Logs { resources: vec![ResourceLogs { resource: Some(resource()), scopes }] }.encode_to_vec();
            self.send(Batch { signal: Signal::Logs, body, count });
        }
    }

    fn send(&self, batch: Batch) {
        if let Err(TrySendError::Full(batch) | TrySendError::Closed(batch)) = self.sender.try_send(batch) {
            batch.signal.dropped().add(batch.count);
        }
    }
}

struct Attributes(Vec<KeyValue>);

impl Fields for Attributes {
    fn text(&mut self, name: &'static str, value: &str) {
        self.0.push(KeyValue::text(name, value));
    }

    fn number(&mut self, name: &'static str, value: u64) {
        self.0.push(KeyValue::number(name, value));
    }
}

fn resource() -> Resource {
    let attributes = vec![
        KeyValue::text("service.name", "sallyport"),
        KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::number("process.pid", std::process::id().into()),
    ];
    Resource { attributes }
}

fn scope() -> Scope {
    Scope { name: "sallyport".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// `SeverityNumber`.
fn severity(level: &str) -> i32 {
    match level {
        "ERROR" => 17,
        "WARN" => 13,
        _ => 9,
    }
}

/// A batch is handed over when it has this many spans or events.
const FULL: usize = 1024;
/// A batch that has not become full is handed over after this time.
const EVERY: Duration = Duration::from_secs(1);
/// How many batches wait for the collector.
pub(super) const WAITING: usize = 16;
