//! What is left of an exchange when it ends: one record for metrics, events and traces. Nothing is formatted here.

mod ending;
mod notes;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::{Error, http::ResponseHeader, proxy::Session};

pub use notes::{Notes, Readable};

use super::exchange::Exchange;
use crate::{
    mcp,
    policy::Permit,
    resource_server::Principal,
    telemetry::{self, Call, Caller, Invoked, Target, Telemetry, TraceContext},
    web,
};

impl Caller for Principal {
    fn subject_id(&self) -> &str {
        self.subject().as_str()
    }

    fn client_id(&self) -> &str {
        self.client_id().as_str()
    }
}

/// Notes where a request stands in a trace, as its headers say.
pub fn see_trace(telemetry: &Telemetry, exchange: &mut Exchange, headers: &HeaderMap) {
    let caller = headers.get(TRACEPARENT).and_then(|value| TraceContext::parse(value.as_bytes()));
    exchange.notes.traced = caller.is_some();
    exchange.notes.trace = telemetry.span(caller);
}

/// Tells the upstream where it stands: within our span, if we record any.
pub fn pass_trace_on(exchange: &Exchange, headers: &mut HeaderMap) {
    let Some(context) = exchange.notes.trace.and_then(|trace| trace.for_upstream()) else { return };
    if !exchange.notes.traced {
        headers.remove(TRACESTATE);
    }
    if let Ok(context) = HeaderValue::try_from(context.to_string()) {
        headers.insert(TRACEPARENT, context);
    }
}

/// Notes what a modern request says of itself in its headers.
pub fn see_head(exchange: &mut Exchange, head: &mcp::Head<'_>) {
    if let (mcp::Era::Modern, Some(method)) = (head.era(), head.method) {
        exchange.notes.call = Some(Call::new(telemetry::Method::named(method.as_bytes()), head.name));
    }
}

/// Looks at a request's body that is kept, before the upstream gets its head.
pub fn see_kept(exchange: &mut Exchange) {
    exchange.notes.look(exchange.body.as_ref());
}

/// Looks at the beginning of the request's body as it passes by: a capability is about to be used.
pub fn see_request(telemetry: &Telemetry, exchange: &mut Exchange, piece: Option<&Bytes>) {
    exchange.notes.look(piece);
    let Some(call) = exchange.notes.passes().cloned() else { return };
    let (Some(route), true) = (&exchange.route, call.method.uses_capability()) else { return };
    telemetry.invoked(|| Invoked {
        at: Instant::now(),
        request_id: exchange.id.as_ref().map(web::RequestId::shared).unwrap_or_default(),
        route: Arc::clone(route),
        caller: exchange.permit.as_ref().map(caller),
        call,
        trace: exchange.notes.trace,
    });
}

/// Whether the answer is a list of tools, as far as a glance tells.
pub fn lists_tools(exchange: &Exchange) -> bool {
    exchange.notes.call.as_ref().is_some_and(|call| call.method.lists_tools())
}

/// Notes what kind of answer begins.
pub fn see_answer_head(exchange: &mut Exchange, head: &ResponseHeader, stream: bool, request: &Method) {
    let readable = request == Method::POST && !head.headers.contains_key(http::header::CONTENT_ENCODING);
    exchange.notes.begin_answer(readable, stream);
}

/// Records the exchange, which gives up what is needed no more.
pub fn record(telemetry: &Telemetry, session: &Session, exchange: &mut Exchange, error: Option<&Error>) {
    let now = Instant::now();
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let ending = ending::of(exchange, error, status);
    let head = session.req_header();
    // A message that was answered here has not passed by.
    exchange.notes.look(exchange.body.as_ref());
    telemetry.ended(telemetry::Exchange {
        started: exchange.started,
        latency: now.saturating_duration_since(exchange.started),
        upstream: exchange.notes.upstream_time(now),
        upstream_began: exchange.notes.upstream_began(),
        request_id: exchange.id.as_ref().map(web::RequestId::shared).unwrap_or_default(),
        caller: exchange.permit.as_ref().map(caller),
        accepted: exchange.permit.is_some() || head.method == Method::OPTIONS,
        target: exchange.route.take().map_or_else(|| Target::Path(short(head.uri.path())), Target::Route),
        http_method: head.method.clone(),
        call: exchange.notes.call.take(),
        status,
        outcome: ending.outcome,
        fault: ending.fault,
        reason: ending.reason,
        received: session.body_bytes_read() as u64,
        sent: session.body_bytes_sent() as u64,
        trace: exchange.notes.trace,
    });
}

fn caller(permit: &Permit) -> Arc<dyn Caller> {
    permit.shared_principal()
}

/// A path as far as a log can bear it.
fn short(path: &str) -> Box<str> {
    path[..path.floor_char_boundary(LONGEST_PATH)].into()
}

const LONGEST_PATH: usize = 512;
/// Where a request stands in a trace (W3C Trace Context).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems add to it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
