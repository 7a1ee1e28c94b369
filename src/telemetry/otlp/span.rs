//! The spans of an exchange: one for the whole, and one within it for the upstream's part.

use super::proto::{Code, KeyValue, Kind, Link, Span, Status};
use crate::telemetry::{Exchange, Fault, Outcome, Target, TraceId};

/// Adds the spans of an exchange that ended at `end`, in nanoseconds since 1970, if it is sampled.
pub(super) fn of(exchange: &Exchange, end: u64, spans: &mut Vec<Span>) {
    let Some(trace) = exchange.trace.filter(|trace| trace.sampled) else { return };
    let Some(own) = trace.own else { return };
    let start = end.saturating_sub(nanos(exchange.latency));
    let status = status(exchange);
    let attributes = attributes(exchange);
    if let (Some(id), Some(began), Some(lasted)) = (trace.upstream, exchange.upstream_began, exchange.upstream) {
        let began = start + nanos(began.saturating_duration_since(exchange.started));
        let mut attributes = called(exchange);
        if let Some(route) = exchange.route() {
            attributes.push(KeyValue::text("sallyport.upstream.id", &route.upstream_id));
        }
        spans.push(Span {
            trace_id: bytes(trace.trace_id),
            span_id: id.0.to_vec(),
            parent_span_id: own.0.to_vec(),
            name: name(exchange),
            kind: Kind::Client.into(),
            start_time_unix_nano: began,
            end_time_unix_nano: began + nanos(lasted),
            attributes,
            links: Vec::new(),
            status: status.clone().filter(|_| exchange.fault == Some(Fault::Upstream)),
        });
    }
    let links = trace.link.iter().map(|link| Link { trace_id: bytes(link.trace_id), span_id: link.span_id.0.to_vec() });
    spans.push(Span {
        trace_id: bytes(trace.trace_id),
        span_id: own.0.to_vec(),
        parent_span_id: trace.parent.map(|parent| parent.0.to_vec()).unwrap_or_default(),
        name: name(exchange),
        kind: Kind::Server.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: end,
        attributes,
        links: links.collect(),
        status,
    });
}

/// `{method} {target}`, as the semantic conventions for MCP have it; without a message, the method of HTTP and the path.
fn name(exchange: &Exchange) -> String {
    match (&exchange.call, &exchange.target) {
        (Some(call), _) => match &call.name {
            Some(name) if !call.method.names_resource() => format!("{} {name}", call.method.as_str()),
            _ => call.method.as_str().to_owned(),
        },
        (None, Target::Route(route)) => format!("{} {}", exchange.http_method, route.path),
        (None, Target::Path(_)) => exchange.http_method.to_string(),
    }
}

fn called(exchange: &Exchange) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(16);
    if let Some(call) = &exchange.call {
        attributes.push(KeyValue::text("mcp.method.name", call.method.as_str()));
        if let Some(name) = &call.name {
            let key = match call.method.as_str() {
                "tools/call" => "gen_ai.tool.name",
                "prompts/get" => "gen_ai.prompt.name",
                _ => "mcp.resource.uri",
            };
            attributes.push(KeyValue::text(key, name));
        }
    }
    attributes
}

fn attributes(exchange: &Exchange) -> Vec<KeyValue> {
    let mut attributes = called(exchange);
    attributes.push(KeyValue::text("http.request.method", exchange.http_method.as_str()));
    attributes.push(KeyValue::number("http.response.status_code", exchange.status.into()));
    match &exchange.target {
        Target::Route(route) => {
            attributes.push(KeyValue::text("http.route", &route.path));
            attributes.push(KeyValue::text("sallyport.operation.id", &route.operation_id));
        }
        Target::Path(path) => attributes.push(KeyValue::text("url.path", path)),
    }
    if let Some(caller) = &exchange.caller {
        attributes.push(KeyValue::text("user.id", caller.subject_id()));
        attributes.push(KeyValue::text("sallyport.client.id", caller.client_id()));
    }
    attributes.push(KeyValue::text("sallyport.request.id", &exchange.request_id));
    attributes.push(KeyValue::text("sallyport.outcome", exchange.outcome.as_str()));
    if let Some(reason) = exchange.reason {
        attributes.push(KeyValue::text("error.type", reason));
    } else if exchange.outcome == Outcome::ApplicationError {
        let kind = if exchange.call.as_ref().is_some_and(|call| call.method.as_str() == "tools/call") {
            "tool_error"
        } else {
            "_OTHER"
        };
        attributes.push(KeyValue::text("error.type", kind));
    }
    attributes
}

/// A refused client is no error of the server (semantic conventions for HTTP spans).
fn status(exchange: &Exchange) -> Option<Status> {
    let error = matches!(exchange.outcome, Outcome::Failure | Outcome::Partial | Outcome::ApplicationError);
    error.then(|| Status { message: exchange.reason.unwrap_or_default().to_owned(), code: Code::Error.into() })
}

fn bytes(id: TraceId) -> Vec<u8> {
    id.0.to_vec()
}

fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
