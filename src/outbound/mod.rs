//! The only HTTP client: SSRF guard, deadlines, size caps, no redirects.
//!
//! Every URL fetched here may have been chosen by a stranger: a client's metadata document, a discovery document, a
//! key set. So only https is spoken, only public addresses are connected to, and the check is made on the very address
//! that is used, after the name was resolved. The operator opens networks with `outbound.allowPrivateNetworks`.

mod address;
mod body;
mod client;
mod collector;
mod configured;
mod dns;
mod error;
mod guard;
mod plain;
mod prober;
mod resolver;
#[cfg(test)]
pub(crate) mod test_server;
mod tls;

pub use address::AddressClass;
pub use body::{Fetched, Freshness};
pub use client::{Authorization, BuildError, Client, Limits, Settings};
pub use collector::Collector;
pub use dns::DnsError;
pub use error::Error;
pub use plain::PlainClient;
pub use prober::Prober;
pub use resolver::Resolver;
pub use tls::{BuildTlsError, CaError};
