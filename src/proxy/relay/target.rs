//! An upstream made ready for relaying: everything about it that does not change from request to request.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use foldhash::{HashMap, HashMapExt};
use http::{HeaderValue, Uri, uri::InvalidUri};
use pingora::{
    protocols::{ALPN, TcpKeepalive},
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, PeerOptions},
};
use url::{Host, Url};

use crate::{
    proxy::{
        Error,
        tls::{self, Material},
    },
    routes::Routes,
    upstream::{HttpVersion, Server, Servers},
};

/// An upstream made ready for relaying.
pub struct Target {
    /// The upstream as configured.
    pub server: Arc<Server>,
    /// The host to look up, or the address itself.
    pub host: Result<IpAddr, String>,
    /// The `Host` to send.
    pub authority: HeaderValue,
    /// The path and query to send, the client's query behind them.
    pub uri: Uri,
    /// How many calls on its route are under way.
    pub calls: Arc<AtomicUsize>,
    port: u16,
    tls: bool,
    sni: String,
    material: Material,
    group: u64,
}

/// The targets of all routes, by operation id.
pub struct Targets(HashMap<String, Arc<Target>>);

impl Targets {
    /// Makes the upstreams of all routes ready; fails on TLS material that cannot be used. Calls are counted on with those
    /// of the targets before.
    pub fn new(routes: &Routes, servers: &Servers, before: Option<&Self>) -> Result<Self, Error> {
        let mut targets = HashMap::new();
        for route in routes.iter() {
            let server = servers
                .of(&route.operation_id)
                .ok_or_else(|| Error::NoUpstream { operation_id: route.operation_id.clone() })?;
            let calls =
                before.and_then(|targets| targets.of(&route.operation_id)).map(|target| Arc::clone(&target.calls));
            let target = Target::new(Arc::clone(server), calls.unwrap_or_default())?;
            targets.insert(route.operation_id.clone(), Arc::new(target));
        }
        Ok(Self(targets))
    }

    /// The target of the route of this operation id.
    pub fn of(&self, operation_id: &str) -> Option<&Arc<Target>> {
        self.0.get(operation_id)
    }
}

impl Target {
    fn new(server: Arc<Server>, calls: Arc<AtomicUsize>) -> Result<Self, Error> {
        let unusable = || Error::UnusableUrl { upstream: server.id.clone() };
        let url = &server.url;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => return Err(unusable()),
        };
        let (host, sni) = match url.host().ok_or_else(unusable)? {
            Host::Domain(name) => (Err(name.to_owned()), name.to_owned()),
            Host::Ipv4(ip) => (Ok(IpAddr::V4(ip)), ip.to_string()),
            Host::Ipv6(ip) => (Ok(IpAddr::V6(ip)), ip.to_string()),
        };
        let host_text = url.host_str().ok_or_else(unusable)?;
        let authority = url.port().map_or_else(|| host_text.to_owned(), |port| format!("{host_text}:{port}"));
        let material = tls::material(&server.id, &server.tls)?;
        Ok(Self {
            host,
            authority: HeaderValue::try_from(authority)
                .map_err(|source| Error::UnusableAuthority { upstream: server.id.clone(), source })?,
            uri: uri(url).map_err(|_invalid| unusable())?,
            calls,
            port: url.port_or_known_default().ok_or_else(unusable)?,
            tls,
            sni,
            group: group(&server, &material),
            material,
            server,
        })
    }

    /// The peer at one address of this upstream.
    ///
    /// `silence` is the longest silence to tolerate; none for streams that may be quiet for hours.
    /// `rather_http1` avoids HTTP/2 where there is a choice.
    pub fn peer(&self, address: IpAddr, rather_http1: bool, silence: Option<Duration>) -> HttpPeer {
        let mut peer = HttpPeer::new((address, self.port), self.tls, self.sni.clone());
        peer.client_cert_key.clone_from(&self.material.identity);
        peer.group_key = self.group ^ u64::from(rather_http1);
        self.configure(&mut peer.options, rather_http1);
        peer.options.read_timeout = silence;
        peer
    }

    fn configure(&self, options: &mut PeerOptions, rather_http1: bool) {
        options.connection_timeout = Some(self.server.connect_timeout);
        options.total_connection_timeout = Some(self.server.connect_timeout);
        options.write_timeout = Some(WRITE_TIMEOUT);
        options.h1_merge_request_writes = true;
        options.h1_response_body_buffer = Some(READ_AT_ONCE);
        options.silent_event_streams = true;
        options.h1_exchange_in_turn = true;
        options.h1_headers_by_filter = true;
        options.idle_timeout = Some(IDLE_TIMEOUT);
        options.alpn = match self.server.http {
            HttpVersion::Http2 => ALPN::H2,
            HttpVersion::Negotiated if !rather_http1 && self.tls => ALPN::H2H1,
            _ => ALPN::H1,
        };
        options.max_h2_streams = 100;
        options.h2_ping_interval = Some(H2_PING_INTERVAL);
        options.ca.clone_from(&self.material.ca);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(60),
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: Duration::ZERO,
        });
        options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    }
}

/// The path and query of the configured URL.
fn uri(url: &Url) -> Result<Uri, InvalidUri> {
    match url.query().filter(|query| !query.is_empty()) {
        Some(query) => Uri::try_from(format!("{}?{query}", url.path())),
        None => Uri::try_from(url.path()),
    }
}

/// Keeps pooled connections apart that differ in what Pingora's own pool key leaves out: trust, identity, protocol.
fn group(server: &Server, material: &Material) -> u64 {
    let mut hasher = DefaultHasher::new();
    server.id.hash(&mut hasher);
    match server.http {
        HttpVersion::Http1 => 1_u8,
        HttpVersion::Http2 => 2,
        HttpVersion::Negotiated => 3,
    }
    .hash(&mut hasher);
    material.fingerprint.hash(&mut hasher);
    hasher.finish() << 1
}

/// How much of an answer is read at once: of this size the allocator still keeps what is freed
/// at hand, of Pingora's own 64 KiB it does not.
const READ_AT_ONCE: usize = 32 * 1024;
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);
/// Below the five seconds after which Node and uvicorn close an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
