//! The outer door over HTTP: a real gateway in this process, a browser, OAuth clients, and an upstream that records.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod authorize;
mod connect;
mod consent;
mod health;
mod login;
mod metadata;
mod origins;
mod register;
mod revoke;
mod support;
mod token;
mod token_refresh;
