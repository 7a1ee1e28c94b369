//! Builders: a gateway, a browser, a client, an upstream, and what clients publish.

pub mod assertion;
mod browser;
#[path = "../../support/certificates.rs"]
mod certificates;
mod client;
#[path = "../../support/free_address.rs"]
mod free_address;
mod gateway;
mod host;
mod identity_provider;
mod log;
mod protected;
#[path = "../../support/until.rs"]
mod until;
mod upstream;
mod vendor;

pub use browser::{Browser, Page};
pub use certificates::Authority;
pub use client::{Client, Tokens, choose_user};
pub use free_address::free_address;
pub use gateway::TestGateway;
pub use host::Host;
pub use identity_provider::IdentityProvider;
pub use log::Log;
pub use protected::Protected;
pub use until::until;
pub use upstream::Upstream;
pub use vendor::{AUDIENCE, Vendor};
