//! The protocol half of being an OAuth client of an upstream: find its authorization server, register, ask, exchange,
//! refresh, revoke. Nothing is stored here.
//!
//! Every URL but the upstream's own was chosen by a stranger and goes through [`crate::outbound::Client`]. What real
//! servers get wrong is absorbed here, so that the rest of the gateway sees one kind of authorization server.

pub mod discovery;
mod documents;
mod fault;
mod server;
#[cfg(test)]
mod tests;
mod well_known;

pub use discovery::{Discovery, Error as DiscoveryError};
pub use server::AuthorizationServer;
