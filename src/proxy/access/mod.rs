//! What is left of an exchange when it ends: one record for metrics, events and traces. Nothing is formatted here.

mod ending;
mod notes;

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::Method;
use pingora::{Error, http::ResponseHeader, proxy::Session};

pub use notes::Notes;

use super::{exchange::Exchange, relay};
use crate::{
    mcp,
    policy::Permit,
    resource_server::Principal,
    telemetry::{self, Call, Caller, Invoked, Target, Telemetry},
};

impl Caller for Principal {
    fn subject_id(&self) -> &str {
        self.subject().as_str()
    }

    fn client_id(&self) -> &str {
        self.client_id().as_str()
    }
}

/// Notes what a modern request says of itself in its headers.
pub fn see_head(exchange: &mut Exchange, head: &mcp::Head<'_>) {
    if let (mcp::Era::Modern, Some(method)) = (head.era(), head.method) {
        exchange.notes.call = Some(Call::new(telemetry::Method::named(method.as_bytes()), head.name));
    }
}

/// Looks at the beginning of the request's body as it passes by; the first time, a capability is about to be used.
pub fn see_request(telemetry: &Telemetry, exchange: &mut Exchange, piece: Option<&Bytes>) {
    let Some(call) = exchange.notes.call_in(piece).cloned() else { return };
    let (Some(route), true) = (&exchange.route, call.method.uses_capability()) else { return };
    telemetry.invoked(|| Invoked {
        at: Instant::now(),
        request_id: exchange.id.as_ref().map(ToString::to_string).unwrap_or_default(),
        route: Arc::clone(route),
        caller: exchange.permit.as_ref().map(caller),
        call,
        trace: None,
    });
}

/// Notes what kind of answer begins.
pub fn see_answer_head(exchange: &mut Exchange, head: &ResponseHeader, request: &Method) {
    let readable = request == Method::POST && !head.headers.contains_key(http::header::CONTENT_ENCODING);
    exchange.notes.begin_answer(readable, relay::is_event_stream(head));
}

/// Records the exchange, which gives up what is needed no more.
pub fn record(telemetry: &Telemetry, session: &Session, exchange: &mut Exchange, error: Option<&Error>) {
    let now = Instant::now();
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let ending = ending::of(exchange, error, status);
    let head = session.req_header();
    // A message that was answered here has not passed by.
    exchange.notes.call_in(exchange.body.as_ref());
    telemetry.ended(telemetry::Exchange {
        started: exchange.started,
        latency: now.saturating_duration_since(exchange.started),
        upstream: exchange.notes.upstream_time(now),
        request_id: exchange.id.take().map(|id| id.to_string()).unwrap_or_default(),
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
        trace: None,
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
