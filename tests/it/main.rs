#![allow(unused)]
//! Integration tests: a real edge on a real socket, with real bytes on both sides.

mod relay_access;
mod relay_failures;
mod relay_headers;
mod relay_streams;
#[path = "../support/mod.rs"]
mod support;
