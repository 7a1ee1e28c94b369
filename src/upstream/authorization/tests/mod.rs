//! The OAuth client against a fake upstream with its own authorization server.

mod discovery;
mod fake;
