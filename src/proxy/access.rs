//! One line in the log for each exchange.

use http::Method;
use pingora::{Error, ErrorSource, proxy::Session};
use tracing::{Level, info};

use super::{
    exchange::Exchange,
    failure::{Failure, Fault},
};
use crate::policy::Permit;

/// How an exchange ended.
struct Ending {
    outcome: &'static str,
    origin: Option<&'static str>,
    reason: Option<&'static str>,
}

/// Writes the line. Nothing is formatted when nobody reads it.
pub fn log(session: &Session, exchange: &Exchange, error: Option<&Error>) {
    if !tracing::enabled!(target: "sallyport::access", Level::INFO) {
        return;
    }
    let status = session.response_written().map_or(0, |head| head.status.as_u16());
    let ending = ending(exchange, error, status);
    let head = session.req_header();
    let request_id = exchange.id.as_ref().map(ToString::to_string);
    let latency_ms = millis(exchange.started.elapsed());
    let Some(route) = &exchange.route else {
        info!(
            target: "sallyport::access",
            event = "mcp_endpoint_answered",
            requestId = request_id,
            method = %head.method,
            path = head.uri.path(),
            status,
            outcome = ending.outcome,
            failureOrigin = ending.origin,
            reasonCode = ending.reason,
            latencyMs = latency_ms,
            "request answered"
        );
        return;
    };
    let principal = exchange.permit.as_ref().map(Permit::principal);
    let accepted = principal.is_some() || head.method == Method::OPTIONS;
    info!(
        target: "sallyport::access",
        event = if accepted { "mcp_request_accepted" } else { "mcp_request_rejected" },
        requestId = request_id,
        operationId = route.operation_id,
        upstreamServerId = route.upstream_id,
        subjectId = principal.map(|principal| principal.subject().as_str()),
        clientId = principal.map(|principal| principal.client_id().as_str()),
        method = %head.method,
        status,
        outcome = ending.outcome,
        failureOrigin = ending.origin,
        reasonCode = ending.reason,
        latencyMs = latency_ms,
        upstreamMs = exchange.upstream_time.map(millis),
        bytesReceived = session.body_bytes_read(),
        bytesSent = session.body_bytes_sent(),
        "MCP request {}",
        if accepted { "accepted" } else { "rejected" }
    );
}

fn ending(exchange: &Exchange, error: Option<&Error>, status: u16) -> Ending {
    if let Some(reason) = exchange.refused {
        let (outcome, fault) = match status {
            500 | 503 => ("failure", Fault::Gateway),
            502 | 504 => ("failure", Fault::Upstream),
            _ => ("denied", Fault::Client),
        };
        return Ending { outcome, origin: Some(fault.as_str()), reason: Some(reason) };
    }
    if exchange.connect.is_some() {
        return Ending { outcome: CONNECT_REQUIRED, origin: None, reason: Some(CONNECT_REQUIRED) };
    }
    let failure = exchange.failure.or_else(|| error.and_then(Failure::of));
    match (failure, error) {
        (Some(failure), _) => Ending {
            outcome: if failure.fault() == Fault::Client { "denied" } else { "failure" },
            origin: Some(failure.fault().as_str()),
            reason: Some(failure.reason()),
        },
        (None, Some(error)) if *error.esource() == ErrorSource::Downstream => {
            Ending { outcome: "cancelled", origin: Some(Fault::Client.as_str()), reason: Some("client_disconnected") }
        }
        (None, Some(_)) => Ending {
            outcome: "failure",
            origin: Some(Fault::Gateway.as_str()),
            reason: Some(Failure::Internal.reason()),
        },
        (None, None) if status >= 400 => Ending { outcome: "application_error", origin: None, reason: None },
        (None, None) => Ending { outcome: "success", origin: None, reason: None },
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const CONNECT_REQUIRED: &str = "connect_required";
