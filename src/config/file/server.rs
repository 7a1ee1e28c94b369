//! `server`, `store`, `encryption` and `outbound`.

use schemars::{JsonSchema, Schema};
use serde::Deserialize;

use super::default::{
    CALLS_PER_ROUTE, CONNECTIONS, CONNECTIONS_PER_ADDRESS, GRACE_PERIOD_SECONDS, REQUESTS_PER_USER, STREAMS,
    admin_listen, base_path, listen, nothing, null, number, section, store_url, trusted_proxies,
};
use crate::config::at::{At, AtSecret, OneOrMany};

/// Where the gateway listens and how it is reached.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Addresses to listen on, each an IP address with a port, or a mapping with `address` and `tls`.
    #[schemars(default = "listen")]
    pub listen: At<Vec<Listener>>,
    /// Where `/healthz`, `/readyz` and `/metrics` are served; never on the public listeners.
    #[schemars(default = "admin_listen")]
    pub admin_listen: At<String>,
    /// The path below which the gateway's own endpoints live, such as `/_gw`.
    #[schemars(default = "base_path")]
    pub base_path: At<String>,
    /// The origin, or origins, under which clients reach the gateway: `https://host[:port]`. Any other `Host` is then
    /// answered with 421. Unset: derived from each request.
    #[schemars(default = "null")]
    pub public_origin: At<OneOrMany<At<String>>>,
    /// Browser origins whose pages may call the MCP routes, as `scheme://host[:port]`, or `*` for all. Loopback origins
    /// and the gateway's own are always allowed.
    #[schemars(default = "nothing")]
    pub allowed_origins: At<Vec<At<String>>>,
    /// Networks of the proxies whose `X-Forwarded-*` headers are believed.
    #[schemars(default = "trusted_proxies")]
    pub trusted_proxies: At<Vec<At<String>>>,
    /// Worker threads. Default: one per core.
    #[schemars(default = "null")]
    pub threads: At<i64>,
    /// The socket over which a new process takes the listeners from the old one.
    #[schemars(default = "null")]
    pub upgrade_socket: At<String>,
    /// How long open requests may take to finish at shutdown.
    #[schemars(default = "number::<GRACE_PERIOD_SECONDS>")]
    pub grace_period_seconds: At<i64>,
    /// A file that gets the process id.
    #[schemars(default = "null")]
    pub pid_file: At<String>,
    /// How much may be under way at once; what is beyond gets 429 or 503 with `Retry-After`.
    #[schemars(default = "section")]
    pub limits: Limits,
}

/// How much may be under way at once.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Connections of clients. The last tenth is for people who sign in.
    #[schemars(default = "number::<CONNECTIONS>")]
    pub connections: At<i64>,
    /// Connections from one address that is not in `trustedProxies`.
    #[schemars(default = "number::<CONNECTIONS_PER_ADDRESS>")]
    pub connections_per_address: At<i64>,
    /// Streams over which servers speak without having been asked.
    #[schemars(default = "number::<STREAMS>")]
    pub streams: At<i64>,
    /// Calls on one route.
    #[schemars(default = "number::<CALLS_PER_ROUTE>")]
    pub calls_per_route: At<i64>,
    /// Calls and streams of one person.
    #[schemars(default = "number::<REQUESTS_PER_USER>")]
    pub requests_per_user: At<i64>,
}

/// An address to listen on.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(transform = allow_text)]
pub struct Listener {
    /// An IP address and a port, such as `0.0.0.0:8443` or `[::]:8443`.
    pub address: At<String>,
    /// Serves TLS instead of plain HTTP.
    #[schemars(default = "section")]
    pub tls: At<ListenerTls>,
}

/// The certificate of a listener.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListenerTls {
    /// The certificate chain, PEM.
    pub cert: At<String>,
    /// The private key, PEM.
    pub key: At<String>,
}

/// Where state is kept.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Store {
    /// `sqlite:PATH` for one process, or `postgres://user:password@host/database?sslmode=verify-full` for replicas.
    #[schemars(default = "store_url")]
    pub url: AtSecret,
}

/// The keys that seal upstream tokens and secrets in the store.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// The first key seals, all open. Without any, the embedded store makes a key file beside the database.
    #[schemars(default = "nothing")]
    pub keys: At<Vec<EncryptionKey>>,
}

/// One key of the key ring.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EncryptionKey {
    /// A name that is never used again for another key.
    pub id: At<String>,
    /// 32 random bytes in base64, such as `sallyport keys generate` makes.
    pub key: AtSecret,
}

/// The gateway's own calls to other servers.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outbound {
    /// Private networks that discovery, client metadata, JWKS and token calls may reach, also over plain http.
    #[schemars(default = "nothing")]
    pub allow_private_networks: At<Vec<At<String>>>,
    /// A PEM bundle of further certificate authorities, for these calls and for upstreams.
    #[schemars(default = "null")]
    pub ca_file: At<String>,
}

/// Lets the schema accept the short form of a mapping: its first key as a text.
pub fn allow_text(schema: &mut Schema) {
    let mapping = std::mem::take(schema);
    *schema = schemars::json_schema!({"anyOf": [{"type": "string"}, mapping]});
}
