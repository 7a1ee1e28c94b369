//! `server`: where the gateway listens and how it is reached.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::at::{At, State};
use crate::config::check::Check;
use crate::config::file;
use crate::config::origin::{AllowedOrigin, Origin};
use crate::config::parse;
use crate::config::problem::Fault;

/// Where the gateway listens and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The public listeners; at least one.
    pub listen: Vec<Listener>,
    /// Serves health and metrics.
    pub admin_listen: SocketAddr,
    /// The path below which the gateway's own endpoints live.
    pub base_path: BasePath,
    /// The only origins under which clients may reach the gateway; empty: derived from each request.
    pub public_origins: Vec<Origin>,
    /// Browser origins whose pages may call the MCP routes, besides loopback and the gateway's own.
    pub allowed_origins: Vec<AllowedOrigin>,
    /// Networks of the proxies whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Worker threads.
    pub threads: usize,
    /// The socket over which a new process takes the listeners from the old one.
    pub upgrade_socket: Option<PathBuf>,
    /// How long open requests may take to finish at shutdown.
    pub grace_period: Duration,
    /// A file that gets the process id.
    pub pid_file: Option<PathBuf>,
    /// How much may be under way at once.
    pub limits: Limits,
}

/// How much may be under way at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients.
    pub connections: usize,
    /// Connections from one address that is no trusted proxy's.
    pub connections_per_address: usize,
    /// Streams that answer no call.
    pub streams: usize,
    /// Calls on one route.
    pub calls_per_route: usize,
    /// Calls and streams of one person.
    pub requests_per_user: usize,
}

/// A public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Serves TLS where set.
    pub tls: Option<ListenerTls>,
}

/// The certificate of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// The path below which the gateway's own endpoints live, without a trailing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// The path: `/_gw`, or empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// An own endpoint's full path: `/oauth/token` becomes `/_gw/oauth/token`.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

impl Server {
    /// Checks the section.
    pub fn check(file: &file::Server, check: &mut Check) -> Self {
        let listen = listeners(&file.listen, check);
        let admin_listen = check.parse(&file.admin_listen, |text| parse::socket_address(text));
        let admin_listen = admin_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9464)));
        if admin_listen.port() != 0 && listen.iter().any(|listener| listener.address == admin_listen) {
            check
                .invalid(&file.admin_listen, "another address than the public listeners, which must not serve metrics");
        }
        Self {
            listen,
            admin_listen,
            base_path: base_path(&file.base_path, check),
            public_origins: public_origins(file, check),
            allowed_origins: check.parse_list(&file.allowed_origins, allowed_origin),
            trusted_proxies: trusted_proxies(&file.trusted_proxies, check),
            threads: threads(&file.threads, check),
            upgrade_socket: check.path(&file.upgrade_socket),
            grace_period: check.seconds(&file.grace_period_seconds, file::GRACE_PERIOD_SECONDS, 0..=86_400),
            pid_file: check.path(&file.pid_file),
            limits: limits(&file.limits, check),
        }
    }

    /// The first public listener that others than this machine can reach.
    pub fn remote_listener(&self) -> Option<SocketAddr> {
        self.listen.iter().map(|listener| listener.address).find(|address| !address.ip().to_canonical().is_loopback())
    }
}

fn listeners(at: &At<Vec<file::Listener>>, check: &mut Check) -> Vec<Listener> {
    let items = check.list(at);
    if at.get().is_some() && items.is_empty() {
        check.invalid(at, "at least one address");
    }
    if at.is_unset() {
        return vec![Listener { address: SocketAddr::from(([127, 0, 0, 1], 8080)), tls: None }];
    }
    let mut taken = Vec::new();
    let mut listeners = Vec::new();
    for item in items {
        let address = check.parse_required(&item.address, "an IP address and a port", parse::socket_address);
        let tls = listener_tls(&item.tls, check);
        let Some(address) = address else { continue };
        if address.port() != 0 {
            check.unique(&mut taken, address, &item.address.place, &item.address.shown);
        }
        listeners.push(Listener { address, tls });
    }
    listeners
}

/// An empty `tls` is refused rather than read as "no TLS".
fn listener_tls(at: &At<file::ListenerTls>, check: &mut Check) -> Option<ListenerTls> {
    const NEEDS: &str = "the paths `cert` and `key` of two PEM files";
    if let State::Null = at.state {
        check.report(&at.place, Fault::Missing { needs: NEEDS });
    }
    let tls = at.get()?;
    check.require(&tls.cert, "the path of the certificate chain (PEM)");
    check.require(&tls.key, "the path of the private key (PEM)");
    let (cert, key) = (check.path(&tls.cert), check.path(&tls.key));
    if let Some(key) = &key {
        check.warn_if_open(&tls.key.place, key);
    }
    Some(ListenerTls { cert: cert?, key: key? })
}

fn base_path(at: &At<String>, check: &mut Check) -> BasePath {
    let path = check.parse(at, |text| parse::url_path(text)).unwrap_or_default();
    if path.split('/').any(|segment| segment == ".well-known") {
        check.report(&at.place, Fault::Reserved { given: at.shown.clone(), reserved: "/.well-known".to_owned() });
    }
    BasePath(path)
}

fn public_origins(file: &file::Server, check: &mut Check) -> Vec<Origin> {
    let Some(items) = file.public_origin.get() else { return Vec::new() };
    if items.0.is_empty() {
        check.invalid(&file.public_origin, "at least one origin; remove the key to derive it from each request");
    }
    let mut taken = Vec::new();
    let mut origins = Vec::new();
    for item in &items.0 {
        let Some(origin) = check.parse(item, |text| parse::public_origin(text)) else { continue };
        if origin.scheme() == "http" && !origin.is_loopback() {
            check.warn(&item.place, Fault::PlainHttp { given: item.shown.clone() });
        }
        check.unique(&mut taken, origin.clone(), &item.place, &item.shown);
        origins.push(origin);
    }
    origins
}

fn allowed_origin(text: &str) -> Result<AllowedOrigin, parse::Expected> {
    if text == "*" {
        return Ok(AllowedOrigin::Any);
    }
    Origin::parse(text).map(AllowedOrigin::Exactly).ok_or("an origin such as https://app.example.com, or *")
}

fn trusted_proxies(at: &At<Vec<At<String>>>, check: &mut Check) -> Vec<IpNet> {
    let given = check.networks(at);
    if at.is_unset() {
        return file::TRUSTED_PROXIES.iter().filter_map(|net| net.parse().ok()).collect();
    }
    given
}

fn limits(file: &file::Limits, check: &mut Check) -> Limits {
    let mut limit = |at, default: i64| {
        let given = check.number(at, 1..=1_000_000).unwrap_or(default.unsigned_abs());
        usize::try_from(given).unwrap_or(usize::MAX)
    };
    Limits {
        connections: limit(&file.connections, file::CONNECTIONS),
        connections_per_address: limit(&file.connections_per_address, file::CONNECTIONS_PER_ADDRESS),
        streams: limit(&file.streams, file::STREAMS),
        calls_per_route: limit(&file.calls_per_route, file::CALLS_PER_ROUTE),
        requests_per_user: limit(&file.requests_per_user, file::REQUESTS_PER_USER),
    }
}

fn threads(at: &At<i64>, check: &mut Check) -> usize {
    let given = check.number(at, 1..=1024).and_then(|number| usize::try_from(number).ok());
    given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
}
