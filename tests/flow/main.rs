//! The outer door over HTTP: a real gateway in this process, a browser, OAuth clients, and an upstream that records.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod authorize;
mod bad_input;
mod balanced;
mod changes;
mod cimd;
mod client_documents;
mod client_keys;
mod connect;
mod consent;
mod endpoints;
mod faults;
mod health;
mod id_jag;
mod id_jag_upstream;
mod imports;
mod keys;
mod leaving;
mod login;
mod metadata;
mod origins;
mod outage;
mod policy;
#[path = "../support/postgres.rs"]
#[allow(dead_code, reason = "one schema is enough here")]
mod postgres;
mod process;
mod processes;
mod quirks;
mod rate_limits;
mod refresh_ahead;
mod register;
mod registrations;
mod registry;
mod reload;
mod remembered_consent;
mod replicas;
mod revoke;
mod secrets;
mod several_upstreams;
mod slow_store;
mod support;
mod telemetry;
mod together;
mod token;
mod token_refresh;
mod tools;
mod tools_together;
mod upstream_quirks;
mod user_key;
