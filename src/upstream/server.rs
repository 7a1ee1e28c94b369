//! An upstream MCP server as the operator configured it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use url::Url;

use super::CredentialSource;
use crate::crypto::Secret;

/// Which HTTP versions are spoken to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only; with prior knowledge where there is no TLS.
    Http2,
    /// HTTP/2 where TLS negotiates it, else HTTP/1.1.
    Negotiated,
}

/// TLS material for one upstream, already read from its files.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Certificate authorities (PEM) that replace the usual ones.
    pub ca_pem: Option<Vec<u8>>,
    /// The client certificate chain (PEM) and its private key (PEM), for mutual TLS.
    pub client_identity: Option<(Vec<u8>, Secret)>,
}

/// An upstream MCP server.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its id.
    pub id: String,
    /// The MCP endpoint: http or https with a host, no fragment, no user information.
    pub url: Url,
    /// Which HTTP versions to speak.
    pub http: HttpVersion,
    /// How long connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// The longest silence to tolerate before the head of a response and within an answer that is not a stream.
    pub response_timeout: Duration,
    /// Whether the client's query is passed on, behind the query of `url` if that has one.
    pub forward_search: bool,
    /// Whether redirects within the upstream's own origin are followed instead of passed on.
    pub follow_redirects: bool,
    /// TLS material.
    pub tls: Tls,
    /// What goes upstream in place of the client's authorization.
    pub credential: CredentialSource,
}

/// The upstream of every route, by operation id.
#[derive(Debug, Default)]
pub struct Servers(HashMap<String, Arc<Server>>);

impl Servers {
    /// The table of these upstreams.
    pub fn new(servers: impl IntoIterator<Item = (String, Server)>) -> Self {
        Self(servers.into_iter().map(|(operation_id, server)| (operation_id, Arc::new(server))).collect())
    }

    /// The upstream behind the route of this operation id.
    pub fn of(&self, operation_id: &str) -> Option<&Arc<Server>> {
        self.0.get(operation_id)
    }
}
