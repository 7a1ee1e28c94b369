//! What the OAuth standards say, as types and pure functions: parse, match, verify, describe.

pub mod bearer;
pub mod scope;
