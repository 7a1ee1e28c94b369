//! Integration tests: a real edge on a real socket, with real bytes on both sides.
#![allow(clippy::unwrap_used, reason = "clippy lets test functions unwrap, but not the functions that they call")]

mod client_quirks;
mod edge_endpoints;
mod edge_hostile_http2;
mod edge_limits;
mod edge_log;
mod edge_patience;
mod edge_tls;
mod filter_access;
mod filter_answers;
mod filter_requests;
mod filter_tools;
mod relay_access;
mod relay_browsers;
mod relay_credentials;
mod relay_ends;
mod relay_failures;
mod relay_headers;
mod relay_http2;
mod relay_idle;
mod relay_lies;
mod relay_pieces;
mod relay_sessions;
mod relay_silence;
mod relay_smuggling;
mod relay_streams;
mod relay_tls;
mod relay_unconnected_legacy;
mod relay_unconnected_modern;
mod relay_unheard;
mod relay_unknown_length;
#[path = "../support/mod.rs"]
mod support;
