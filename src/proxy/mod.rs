//! The Pingora edge: router, phases, relay, and the one place where errors become HTTP.
//!
//! Every request is either for an endpoint of the gateway, which is answered by [`Endpoints`], or for an MCP route. A
//! request to a route goes upstream only after its token is proven; then it is streamed both ways, unbuffered, with
//! headers that are built from what may pass rather than by removing what may not.

mod access;
mod answer;
mod connection;
mod cors;
mod edge;
mod endpoint;
mod exchange;
mod failure;
mod filter;
mod limits;
mod open;
mod origins;
mod refusal;
mod relay;
mod router;
mod rules;
mod tls;
mod underway;

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use pingora::{
    apps::HttpServerOptions,
    http::ResponseHeader,
    listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions},
    protocols::{TcpKeepalive, http::error_resp},
    proxy::HttpProxy,
    server::configuration::ServerConf,
    services::listening::Service,
};
use thiserror::Error;

pub use cors::AllowedOrigins;
pub use edge::Gateway;
pub use endpoint::Endpoints;
pub use exchange::Exchange;
pub use relay::Resolve;
pub use rules::{CurrentRules, Rules, Setup};
pub use tls::{Certificate, Error as TlsError};
pub use underway::{ConnectionLimits, Edge, Limits, Patience, Underway};

use crate::telemetry::{Telemetry, counters::REQUESTS_UNREADABLE};

/// What the edge is made of.
pub struct Parts {
    /// What the configuration decides.
    pub setup: Setup,
    /// Looks up upstreams.
    pub resolver: Arc<dyn Resolve>,
    /// What is under way.
    pub underway: Arc<Underway>,
    /// Set when this process is about to leave: connections are closed after their answer.
    pub draining: Arc<AtomicBool>,
    /// What is seen from outside.
    pub telemetry: Arc<Telemetry>,
}

/// An address to listen at.
#[derive(Debug, Clone)]
pub struct Listener {
    /// `host:port`.
    pub address: String,
    /// The certificate to show, where TLS is spoken.
    pub tls: Option<Arc<Certificate>>,
}

/// Why the edge cannot be built.
#[derive(Debug, Error)]
pub enum Error {
    /// A route without an upstream.
    #[error("route `{operation_id}` has no upstream")]
    NoUpstream {
        /// The route.
        operation_id: String,
    },
    /// Not an http or https URL with a host.
    #[error("the URL of upstream `{upstream}` cannot be relayed to")]
    UnusableUrl {
        /// The upstream.
        upstream: String,
    },
    /// A host that no `Host` header can carry.
    #[error("the host of upstream `{upstream}` cannot be sent")]
    UnusableAuthority {
        /// The upstream.
        upstream: String,
        /// Why.
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// The certificate authorities of an upstream.
    #[error("the CA file of upstream `{upstream}` cannot be used")]
    UpstreamCa {
        /// The upstream.
        upstream: String,
        /// Why.
        #[source]
        source: tls::Error,
    },
    /// The client certificate for an upstream.
    #[error("the client certificate for upstream `{upstream}` cannot be used")]
    UpstreamIdentity {
        /// The upstream.
        upstream: String,
        /// Why.
        #[source]
        source: tls::Error,
    },
    /// The certificate of a listener.
    #[error("TLS at `{address}` cannot be set up")]
    Listener {
        /// The listener.
        address: String,
        /// Why.
        #[source]
        source: tls::Error,
    },
}

/// Who else runs servers in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Nobody, ever: each worker has a runtime of its own, and a connection stays where it was accepted. Handing tasks from
    /// worker to worker costs more than it evens out, since nothing in a hook computes for long.
    Ours,
    /// Others, or one after another: workers steal work, since without that Pingora's find each other by a thread number
    /// that a later server may get again, with the dead workers behind it.
    Shared,
}

/// Sets what the edge needs of Pingora's own configuration; call it before the server is made.
pub fn configure(conf: &mut ServerConf, process: Process) {
    conf.max_retries = ATTEMPTS;
    conf.work_stealing = process == Process::Shared;
    conf.unwatched_idle_connections = true;
}

/// The proxy application: what a service runs, and what tests run on connections of their own.
pub fn application(gateway: Gateway, conf: &Arc<ServerConf>) -> Edge {
    error_resp::set_error_response_filter(unreadable_response);
    let underway = Arc::clone(&gateway.underway);
    let mut proxy = HttpProxy::new(gateway, Arc::clone(conf));
    proxy.handle_init_modules();
    let mut options = HttpServerOptions::default();
    // CONNECT comes to us only to get our own 405.
    options.allow_connect_method_proxying = true;
    options.ignore_header_case = true;
    options.h2_idle_timeout = Some(underway.patience().next_stream);
    proxy.server_options = Some(options);
    Edge::new(proxy, &underway)
}

/// What Pingora answers to what is not HTTP, before any phase of ours: counted, and without the name of the program.
fn unreadable_response(head: &mut ResponseHeader) {
    REQUESTS_UNREADABLE.count();
    head.remove_header(&http::header::SERVER);
}

/// The service that a Pingora server runs; HTTP/2 is spoken where TLS is.
pub fn service(gateway: Gateway, conf: &Arc<ServerConf>, listeners: &[Listener]) -> Result<Service<Edge>, Error> {
    let mut service = Service::new("gateway".to_owned(), application(gateway, conf));
    for Listener { address, tls } in listeners {
        let mut endpoint = ListenerConfig::tcp(address).l4_buffer(BUFFERS).tcp_socket_options(socket_options());
        if let Some(certificate) = tls {
            let settings =
                tls::listener(certificate).map_err(|source| Error::Listener { address: address.clone(), source })?;
            endpoint = endpoint.tls(settings);
        }
        service.add_listener(endpoint);
    }
    Ok(service)
}

/// How a client is noticed that is gone without a word: silent streams live on otherwise, one socket here and one at the
/// upstream each. A client that lives answers the probes however slow its application is.
fn socket_options() -> TcpSocketOptions {
    let mut options = TcpSocketOptions::default();
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        count: 3,
        user_timeout: Duration::from_secs(90),
    });
    options
}

/// One for each redirect, for each further address, for a stale connection and for a renewed credential; each has its
/// own limit.
const ATTEMPTS: usize = 8;
/// What a connection reads and writes at once. Pingora's own 64 KiB for reading is memory that most connections never
/// use, and its 1,460 bytes for writing divide the usual answer into two system calls.
const BUFFERS: L4BufferSettings = L4BufferSettings { read: Some(8 * 1024), write: Some(16 * 1024) };
