//! The events of an exchange: their names and fields, in one place for every sink.

use std::{sync::Arc, time::Duration};

use super::{
    Call, Caller, Exchange, Fault, Invoked, Target,
    notes::{Note, Value},
    trace::Span,
};
use crate::routes::Route;

/// Where the fields of one event go.
pub(super) trait Fields {
    /// A text.
    fn text(&mut self, name: &'static str, value: &str);
    /// A number.
    fn number(&mut self, name: &'static str, value: u64);
}

/// One event.
pub(super) enum Event<'e> {
    /// A capability is about to be used.
    Invoked(&'e Invoked),
    /// A capability was used, or should have been.
    Completed(&'e Exchange),
    /// An MCP request, or a request to something else, has ended.
    Ended(&'e Exchange),
    /// Something that was decided elsewhere.
    Noted(&'e Note),
}

impl Event<'_> {
    /// The severity.
    pub(super) const fn level(&self) -> &'static str {
        match self {
            Self::Noted(note) => note.level,
            _ => "INFO",
        }
    }

    /// The part of the program that tells it.
    pub(super) const fn target(&self) -> &'static str {
        match self {
            Self::Noted(_) => "sallyport",
            _ => "sallyport::access",
        }
    }

    /// What people read.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Invoked(_) => "capability invoked",
            Self::Completed(_) => "capability completed",
            Self::Ended(Exchange { target: Target::Path(_), .. }) => "request answered",
            Self::Ended(exchange) if exchange.accepted => "MCP request accepted",
            Self::Ended(_) => "MCP request rejected",
            Self::Noted(note) => &note.message,
        }
    }

    /// The stable name.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Invoked(_) => "mcp_capability_invoked",
            Self::Completed(_) => "mcp_capability_completed",
            Self::Ended(Exchange { target: Target::Path(_), .. }) => "mcp_endpoint_answered",
            Self::Ended(exchange) if exchange.accepted => "mcp_request_accepted",
            Self::Ended(_) => "mcp_request_rejected",
            Self::Noted(note) => &note.name,
        }
    }

    /// The trace it belongs to.
    pub(super) const fn trace(&self) -> Option<&Span> {
        match self {
            Self::Invoked(invoked) => invoked.trace.as_ref(),
            Self::Completed(exchange) | Self::Ended(exchange) => exchange.trace.as_ref(),
            Self::Noted(_) => None,
        }
    }

    /// Everything else about it.
    pub(super) fn describe(&self, fields: &mut impl Fields) {
        match self {
            Self::Invoked(invoked) => {
                identify(fields, &invoked.request_id, invoked.trace.as_ref());
                about_route(fields, &invoked.route, invoked.caller.as_ref());
                about_call(fields, Some(&invoked.call));
            }
            Self::Completed(exchange) => {
                identify(fields, &exchange.request_id, exchange.trace.as_ref());
                if let Some(route) = exchange.route() {
                    about_route(fields, route, exchange.caller.as_ref());
                }
                about_call(fields, exchange.call.as_ref());
                about_ending(fields, exchange);
            }
            Self::Ended(exchange) => {
                identify(fields, &exchange.request_id, exchange.trace.as_ref());
                match &exchange.target {
                    Target::Route(route) => about_route(fields, route, exchange.caller.as_ref()),
                    Target::Path(path) => fields.text("path", path),
                }
                about_call(fields, exchange.call.as_ref());
                fields.text("method", exchange.http_method.as_str());
                fields.number("status", exchange.status.into());
                about_ending(fields, exchange);
                if exchange.route().is_some() {
                    fields.number("bytesReceived", exchange.received);
                    fields.number("bytesSent", exchange.sent);
                }
            }
            Self::Noted(note) => note.fields.iter().for_each(|(name, value)| match value {
                Value::Text(text) => fields.text(name, text),
                Value::Number(number) => fields.number(name, *number),
            }),
        }
    }
}

fn identify(fields: &mut impl Fields, request_id: &str, trace: Option<&Span>) {
    fields.text("requestId", request_id);
    if let Some(trace) = trace {
        fields.text("traceId", &trace.trace_id.to_string());
    }
}

fn about_route(fields: &mut impl Fields, route: &Route, caller: Option<&Arc<dyn Caller>>) {
    fields.text("operationId", &route.operation_id);
    fields.text("upstreamServerId", &route.upstream_id);
    if let Some(caller) = caller {
        fields.text("subjectId", caller.subject_id());
        fields.text("clientId", caller.client_id());
    }
}

fn about_call(fields: &mut impl Fields, call: Option<&Call>) {
    let Some(call) = call else { return };
    fields.text("mcpMethod", call.method.as_str());
    if let Some(name) = &call.name {
        fields.text("capabilityName", name);
    }
}

fn about_ending(fields: &mut impl Fields, exchange: &Exchange) {
    fields.text("outcome", exchange.outcome.as_str());
    if let Some(fault) = exchange.fault {
        fields.text("failureOrigin", Fault::as_str(fault));
    }
    if let Some(reason) = exchange.reason {
        fields.text("reasonCode", reason);
    }
    fields.number("latencyMs", millis(exchange.latency));
    if let Some(upstream) = exchange.upstream {
        fields.number("upstreamMs", millis(upstream));
        fields.number("gatewayMs", millis(exchange.gateway()));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
