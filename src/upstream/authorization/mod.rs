//! The protocol half of being an OAuth client of an upstream: find its authorization server, register, ask, exchange,
//! refresh, revoke. Nothing is stored here.
//!
//! Every URL but the upstream's own was chosen by a stranger and goes through [`crate::outbound::Client`]. What real
//! servers get wrong is absorbed here, so that the rest of the gateway sees one kind of authorization server.

mod answer;
mod assertion;
pub mod at_hand;
pub mod callback;
mod client;
pub mod discovery;
mod documents;
mod fault;
pub mod registration;
pub mod request;
mod server;
#[cfg(test)]
mod tests;
mod token_response;
pub mod tokens;
mod upstream_error;
mod well_known;

pub use assertion::{ClientKeys, KeyError};
pub use callback::{Error as CallbackError, check_callback};
pub use client::{AuthorizationClient, RegisteredClient};
pub use discovery::{Discovery, Error as DiscoveryError};
pub use registration::{Error as RegistrationError, Registrant};
pub use request::{AuthorizationRequest, AuthorizationUrl, authorization_url, resource, scopes};
pub use server::AuthorizationServer;
pub use token_response::Tokens;
pub use tokens::{CodeExchange, Error as TokenError, Revocation, TokenKind};
pub use upstream_error::UpstreamError;
pub use well_known::same_issuer;
