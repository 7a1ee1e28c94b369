//! Upstream MCP servers: where they are, and what credential a permitted call carries to them.

pub mod authorization;
pub mod client_document;
pub mod client_key;
pub mod connect;
pub mod connections;
mod credential;
mod credentials;
mod id_jag;
mod key_settings;
mod need;
mod oauth_settings;
pub mod reseal;
mod server;

pub use credential::{Credential, CredentialSource};
pub use credentials::{ConnectLink, Credentials};
pub use id_jag::IdJag;
pub use key_settings::KeySettings;
pub use need::{Need, NoCredential};
pub use oauth_settings::{ClientAuthentication, OauthSettings, Prompt, Registration, Resource};
pub use server::{HttpVersion, Server, Servers, Tls};
