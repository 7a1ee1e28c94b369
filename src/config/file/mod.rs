//! The configuration file as it is written: every key, its type, its default. Nothing is validated here.

mod access;
mod capability;
mod default;
mod gateway;
mod identity;
mod rate_limits;
mod route;
mod server;
mod telemetry;
mod upstream;

pub use access::*;
pub use capability::*;
pub use default::*;
pub use gateway::*;
pub use identity::*;
pub use rate_limits::*;
pub use route::*;
pub use server::*;
pub use telemetry::*;
pub use upstream::*;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::at::At;

/// The configuration of a Sallyport gateway.
///
/// Only `identity` and `routes` are required. Any text may contain `$env(NAME)` or `$file(path)`; relative paths in
/// `$file(..)` start from the directory of the configuration file.
#[derive(Deserialize, JsonSchema)]
#[serde(rename = "Sallyport", rename_all = "camelCase", deny_unknown_fields)]
pub struct File {
    /// Where the gateway listens and how it is reached.
    #[schemars(default = "section")]
    pub server: Server,
    /// Where state is kept.
    #[schemars(default = "section")]
    pub store: Store,
    /// The keys that seal upstream tokens and secrets in the store.
    #[schemars(default = "section")]
    pub encryption: Encryption,
    /// The gateway's own calls to other servers: discovery, client metadata, JWKS, tokens.
    #[schemars(default = "section")]
    pub outbound: Outbound,
    /// E-mail addresses or subject ids of those who may make shared connections and open the admin pages.
    #[schemars(default = "nothing")]
    pub admins: At<Vec<At<String>>>,
    /// Where users sign in.
    pub identity: Identity,
    /// The browser's sign-in at the gateway.
    #[schemars(default = "section")]
    pub browser_login: BrowserLogin,
    /// Tokens that the gateway issues to MCP clients.
    #[schemars(default = "section")]
    pub gateway: Gateway,
    /// How many requests a minute one network address may make to the gateway's own endpoints.
    #[schemars(default = "section")]
    pub rate_limits: RateLimits,
    /// The MCP endpoints that clients see, each with the upstream MCP server behind it.
    pub routes: At<Vec<Route>>,
    /// What is logged, and how.
    #[schemars(default = "section")]
    pub log: Log,
    /// Where events and traces go, beside the log.
    #[schemars(default = "section")]
    pub telemetry: Telemetry,
}
