//! What the OAuth standards say, as types and pure functions: parse, match, verify, describe.

mod client;

pub use client::{AuthMethod, ClientId};
