//! What is kept of one exchange until its events are written: values that exist already, nothing formatted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Method, trace::Span};
use crate::routes::Route;

/// How an exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As it should.
    Success,
    /// Something broke.
    Failure,
    /// It was refused.
    Denied,
    /// The upstream answered with an error of its own.
    ApplicationError,
    /// The upstream must be connected first.
    ConnectRequired,
    /// The answer broke off after it had begun.
    Partial,
    /// The client left.
    Cancelled,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The client's.
    Client,
    /// The upstream's.
    Upstream,
    /// Ours.
    Gateway,
}

/// The person and the client behind an exchange.
pub trait Caller: Send + Sync + 'static {
    /// The person.
    fn subject_id(&self) -> &str;
    /// The client.
    fn client_id(&self) -> &str;
}

/// What an exchange was for.
#[derive(Clone)]
pub enum Target {
    /// An MCP route.
    Route(Arc<Route>),
    /// A path that is none, cut to what a log can bear.
    Path(Box<str>),
}

/// The MCP message of an exchange, as far as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it asks for.
    pub method: Method,
    /// The tool or prompt, or the URI of the resource without its query; at most [`Call::NAME`] bytes.
    pub name: Option<Box<str>>,
}

/// A capability of an upstream that is about to be used.
pub struct Invoked {
    /// When.
    pub at: Instant,
    /// The name of the exchange.
    pub request_id: Arc<str>,
    /// The route.
    pub route: Arc<Route>,
    /// Who uses it.
    pub caller: Option<Arc<dyn Caller>>,
    /// What is used.
    pub call: Call,
    /// Its place in a trace.
    pub trace: Option<Span>,
}

/// An exchange that has ended.
pub struct Exchange {
    /// When it began.
    pub started: Instant,
    /// How long it took.
    pub latency: Duration,
    /// How much of that the upstream took, from the choice of its address to the end of its answer.
    pub upstream: Option<Duration>,
    /// When the upstream's part began.
    pub upstream_began: Option<Instant>,
    /// Its name.
    pub request_id: Arc<str>,
    /// What it was for.
    pub target: Target,
    /// Who was admitted.
    pub caller: Option<Arc<dyn Caller>>,
    /// Whether it was let in: with a proven token, or as a preflight.
    pub accepted: bool,
    /// The method of HTTP.
    pub http_method: http::Method,
    /// The MCP message.
    pub call: Option<Call>,
    /// The status, 0 if there was none.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Whose fault it is, if it failed.
    pub fault: Option<Fault>,
    /// Why it failed.
    pub reason: Option<&'static str>,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// Its place in a trace.
    pub trace: Option<Span>,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Failure,
        Self::Denied,
        Self::ApplicationError,
        Self::ConnectRequired,
        Self::Partial,
        Self::Cancelled,
    ];

    /// The name in events and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Denied => "denied",
            Self::ApplicationError => "application_error",
            Self::ConnectRequired => "connect_required",
            Self::Partial => "partial",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Fault {
    /// The name in events and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

impl Call {
    /// The longest name that is kept.
    pub const NAME: usize = 128;

    /// A message of this method about `name`; a URI loses its query, which may hold what no log may.
    pub fn new(method: Method, name: Option<&str>) -> Self {
        let shown = |name: &str| {
            let name = if method.names_resource() { name.split(['?', '#']).next().unwrap_or_default() } else { name };
            name[..name.floor_char_boundary(Self::NAME)].into()
        };
        Self { method, name: name.map(shown) }
    }
}

impl Exchange {
    /// The part of the latency that was not the upstream's.
    pub fn gateway(&self) -> Duration {
        self.latency.saturating_sub(self.upstream.unwrap_or_default())
    }

    /// The route, if it was for one.
    pub const fn route(&self) -> Option<&Arc<Route>> {
        match &self.target {
            Target::Route(route) => Some(route),
            Target::Path(_) => None,
        }
    }
}
