//! What other modules count: one atomic each, for the whole process, so that nobody has to pass a registry around.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Something that is only ever added to.
pub struct Counter {
    name: &'static str,
    help: &'static str,
    label: Option<(&'static str, &'static str)>,
    value: AtomicU64,
}

/// A level that rises and falls.
#[derive(Debug)]
pub struct Gauge(AtomicI64);

/// Counts one up while it lives.
#[derive(Debug)]
pub struct Held(&'static Gauge);

impl Counter {
    const fn new(name: &'static str, help: &'static str, label: Option<(&'static str, &'static str)>) -> Self {
        Self { name, help, label, value: AtomicU64::new(0) }
    }

    /// Counts one.
    pub fn count(&self) {
        self.add(1);
    }

    /// Counts several.
    pub fn add(&self, more: u64) {
        self.value.fetch_add(more, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn value(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// The name without `_total`.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    pub(super) const fn help(&self) -> &'static str {
        self.help
    }

    pub(super) const fn label(&self) -> Option<(&'static str, &'static str)> {
        self.label
    }
}

impl Gauge {
    /// Counts one more until the value that is returned is dropped.
    pub fn hold(&'static self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// The level.
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

const TOKENS: (&str, &str) =
    ("sallyport_token_cache_requests", "Access tokens looked up in memory; a miss asks the store");
const CREDENTIALS: (&str, &str) =
    ("sallyport_credential_cache_requests", "Credentials of connections looked up in memory; a miss asks the store");
const REFRESHES: (&str, &str) =
    ("sallyport_connection_refreshes", "Refreshes of upstream connections by how they ended");
const TOOLS: (&str, &str) = ("sallyport_tool_definitions", "Definitions of tools that were new, by what they are");
const DROPPED: (&str, &str) =
    ("sallyport_telemetry_dropped", "Events that were dropped because a sink was full or failed");

/// Access tokens that memory knew.
pub static TOKEN_HITS: Counter = Counter::new(TOKENS.0, TOKENS.1, Some(("result", "hit")));
/// Access tokens that the store was asked for.
pub static TOKEN_MISSES: Counter = Counter::new(TOKENS.0, TOKENS.1, Some(("result", "miss")));
/// Credentials that memory knew.
pub static CREDENTIAL_HITS: Counter = Counter::new(CREDENTIALS.0, CREDENTIALS.1, Some(("result", "hit")));
/// Credentials that the store was asked for.
pub static CREDENTIAL_MISSES: Counter = Counter::new(CREDENTIALS.0, CREDENTIALS.1, Some(("result", "miss")));
/// Refreshes that gave new tokens.
pub static REFRESHED: Counter = Counter::new(REFRESHES.0, REFRESHES.1, Some(("result", "refreshed")));
/// Refreshes that ended the connection.
pub static REFRESH_LOST: Counter = Counter::new(REFRESHES.0, REFRESHES.1, Some(("result", "lost")));
/// Refreshes that may be tried again.
pub static REFRESH_FAILED: Counter = Counter::new(REFRESHES.0, REFRESHES.1, Some(("result", "failed")));
/// Records that the background thread did not take in time.
pub static DROPPED_BY_QUEUE: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "queue")));
/// Lines of the log.
pub static DROPPED_BY_LOG: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "log")));
/// Lines of the file of events.
pub static DROPPED_BY_FILE: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "file")));
/// Spans.
pub static DROPPED_SPANS: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "otlp_traces")));
/// Events on their way to a collector.
pub static DROPPED_LOGS: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "otlp_logs")));
/// Exchanges that the roll-ups of the analytics page miss.
pub static DROPPED_USAGE: Counter = Counter::new(DROPPED.0, DROPPED.1, Some(("sink", "analytics")));

/// Tools that were seen for the first time.
pub static TOOLS_PINNED: Counter = Counter::new(TOOLS.0, TOOLS.1, Some(("result", "first")));
/// Definitions of tools that are not the ones that count.
pub static TOOLS_CHANGED: Counter = Counter::new(TOOLS.0, TOOLS.1, Some(("result", "changed")));

/// Connections of clients that were refused because there were too many.
pub static CONNECTIONS_REFUSED: Counter =
    Counter::new("sallyport_connections_refused", "Connections of clients beyond server.limits", None);
/// TLS handshakes of clients that did not end as they should.
pub static HANDSHAKES_FAILED: Counter =
    Counter::new("sallyport_tls_handshakes_failed", "TLS handshakes of clients that failed or took too long", None);
/// Requests that no parser of HTTP takes, or that two would read differently; nothing else is known of them.
pub static REQUESTS_UNREADABLE: Counter =
    Counter::new("sallyport_requests_unreadable", "Requests that are not valid HTTP/1.1", None);

/// Event streams that are open towards clients.
pub static OPEN_STREAMS: Gauge = Gauge(AtomicI64::new(0));

/// All counters, those of one name together.
pub(super) static COUNTERS: [&Counter; 18] = [
    &TOKEN_HITS,
    &TOKEN_MISSES,
    &CREDENTIAL_HITS,
    &CREDENTIAL_MISSES,
    &REFRESHED,
    &REFRESH_LOST,
    &REFRESH_FAILED,
    &DROPPED_BY_QUEUE,
    &DROPPED_BY_LOG,
    &DROPPED_BY_FILE,
    &DROPPED_SPANS,
    &DROPPED_LOGS,
    &DROPPED_USAGE,
    &TOOLS_PINNED,
    &TOOLS_CHANGED,
    &CONNECTIONS_REFUSED,
    &HANDSHAKES_FAILED,
    &REQUESTS_UNREADABLE,
];
