//! Integration tests: a real edge on a real socket, with real bytes on both sides.
#![allow(unused)]

mod edge_endpoints;
mod relay_access;
mod relay_browsers;
mod relay_failures;
mod relay_headers;
mod relay_sessions;
mod relay_smuggling;
mod relay_streams;
#[path = "../support/mod.rs"]
mod support;
