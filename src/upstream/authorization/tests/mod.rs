//! The OAuth client against a fake upstream with its own authorization server.

mod assertion;
mod attacks;
mod callback;
mod discovery;
mod fake;
mod flow;
mod registration;
mod request;
mod token_response;
mod tokens;
