//! Upstream MCP servers: where they are, and what credential a permitted call carries to them.

mod credential;
mod server;

pub use credential::{Credential, CredentialSource};
pub use server::{HttpVersion, Server, Servers, Tls};
