//! Builders: a gateway, a browser, a client, an upstream.

mod browser;
mod client;
mod gateway;
mod identity_provider;
mod log;
mod protected;
mod upstream;

pub use browser::{Browser, Page};
pub use client::{Client, Tokens, choose_user};
pub use gateway::TestGateway;
pub use identity_provider::IdentityProvider;
pub use log::Log;
pub use protected::Protected;
pub use upstream::Upstream;
