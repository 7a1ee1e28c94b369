//! Builds everything and runs it; the only place that names the concrete store.

mod admin;
mod admins;
mod analytics;
mod assemble;
pub mod beside;
mod endpoints;
mod handover;
mod hearing;
mod housekeeping;
mod identity_provider;
mod key_file;
mod landing;
mod leaving;
mod observe;
mod percentile;
mod permissions;
mod pinning;
mod policy;
mod reload;
mod service_manager;
mod signals;
mod start;
mod streams;
mod tools;

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, bail};
use pingora::{
    server::{
        RunArgs, Server, ShutdownSignalWatch,
        configuration::{Opt, ServerConf},
    },
    services::{ServiceWithDependents, background::background_service, listening},
};
use tokio::net::TcpSocket;

pub use policy::explain;
pub use start::migrate;

use self::handover::Waiting;
use crate::{
    clock::Clock,
    config::{self, Config},
    proxy::{self, Certificate, Listener},
    store::Changes,
    upstream,
};

/// How a gateway starts, beside its configuration.
pub struct Start {
    /// Take the listening sockets over from the running process.
    pub upgrade: bool,
    /// The clock.
    pub clock: Clock,
    /// What ends the gateway; unset: the signals of the process.
    pub shutdown: Option<Box<dyn ShutdownSignalWatch + Send>>,
    /// Reads the configuration anew when SIGHUP asks for it; unset: SIGHUP does nothing.
    pub reload: Option<Box<reload::Load>>,
    /// Services to run beside the gateway.
    pub beside: Vec<Box<dyn ServiceWithDependents>>,
}

impl Default for Start {
    fn default() -> Self {
        Self { upgrade: false, clock: Clock::system(), shutdown: None, reload: None, beside: Vec::new() }
    }
}

/// Serves until the shutdown signal.
pub fn run(config: &Config, start: Start) -> anyhow::Result<()> {
    let upgrade_socket = config.server.upgrade_socket.as_deref().filter(|_| start.upgrade);
    if start.upgrade && upgrade_socket.is_none() {
        bail!(
            "--upgrade needs `server.upgradeSocket`, the socket that the running process hands its listeners over at"
        );
    }
    if let Some(socket) = &config.server.upgrade_socket {
        permissions::check_handover(socket)?;
    }
    if !start.upgrade {
        check_addresses(config)?;
    }
    let store = start::store(config)?;
    permissions::warn_of_database(config);
    signals::hear_hangups()?;
    let changes = Arc::new(Changes::default());
    let (draining, leaving) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let telemetry = observe::start(config, &start.clock)?;
    let key_ring = Arc::new(assemble::key_ring(config)?);
    let shared = assemble::Shared::new(config, Arc::clone(&store), Arc::clone(&changes), start.clock.clone());
    let pinning = pinning::Pinning::load(config, &shared)?;
    let underway = Arc::clone(&shared.underway);
    let gateway = proxy::Gateway::new(proxy::Parts {
        setup: assemble::setup(config, &shared, &key_ring)?,
        resolver: Arc::new(assemble::Upstreams(Arc::clone(&shared.resolver))),
        underway: Arc::clone(&underway),
        draining: Arc::clone(&draining),
        telemetry: Arc::clone(&telemetry),
    })?;
    let (listeners, certificates) = listeners(config)?;
    let rules = gateway.rules();

    let options = Opt { upgrade: start.upgrade, ..Opt::default() };
    // A gateway that something other than a signal ends is not the only one in its process.
    let process = if start.shutdown.is_some() { proxy::Process::Shared } else { proxy::Process::Ours };
    let mut server = Server::new_with_opt_and_conf(options, server_conf(config, process));
    let edge = proxy::service(gateway, &server.configuration, &listeners)?;
    {
        // After all that can fail: from here on the running process may leave.
        let _waiting = upgrade_socket.map(Waiting::at).transpose().context("`server.upgradeSocket` cannot be used")?;
        server.bootstrap();
    }
    server.add_service(edge);
    let admin = admin::Admin {
        store: Arc::clone(&store),
        leaving: Arc::clone(&leaving),
        metrics: Arc::clone(telemetry.metrics()),
    };
    let mut admin = listening::Service::new("admin".to_owned(), admin);
    admin.add_tcp(&config.server.admin_listen.to_string());
    server.add_service(admin);
    let streams =
        streams::Streams { underway: Arc::clone(&underway), store: Arc::clone(&store), clock: start.clock.clone() };
    server.add_service(background_service("streams", streams));
    server.add_service(background_service("hearing", hearing::Hearing { store: Arc::clone(&store), changes }));
    let rolling = observe::Rolling::new(&telemetry, &store, &start.clock);
    server.add_service(background_service("usage", rolling.clone()));
    server.add_service(background_service("pinning", pinning));
    server.add_service(background_service("housekeeping", housekeeping::Housekeeping { store, clock: start.clock }));
    if let Some(exporting) = observe::exporting(config, &telemetry)? {
        server.add_service(exporting);
    }
    for service in start.beside {
        server.add_boxed_service(service);
    }
    if let Some(load) = start.reload {
        let reload = reload::Reload::new(load, config.clone(), shared, key_ring, rules, certificates);
        server.add_service(background_service("reload", reload));
    }
    let grace = config.server.grace_period;
    let shutdown_signal = if let Some(signal) = start.shutdown {
        signal
    } else {
        let pid_file = config.server.pid_file.clone();
        let leaving_service = leaving::Leaving { underway, grace, pid_file, rolling: rolling.clone() };
        server.add_service(background_service("leaving", leaving_service));
        let (notice, handover) = ((grace / 8).min(LONGEST_NOTICE), config.server.upgrade_socket.clone());
        Box::new(signals::Signals { draining, leaving, notice, handover })
    };
    let _pid_file = config.server.pid_file.as_deref().map(PidFile::write).transpose()?;
    tracing::info!(event = "mcp_gateway_started", listen = %addresses(config), admin = %config.server.admin_listen,
        routes = config.routes.len(), version = env!("CARGO_PKG_VERSION"), "serving");
    service_manager::notify_ready();
    server.run(RunArgs { shutdown_signal });
    rolling.finish()
}

/// Pingora takes half a minute to give up on an address that is in use, and then stays without a listener.
///
/// Nothing listens meanwhile: who connected to this socket would be cut off when it is closed.
fn check_addresses(config: &Config) -> anyhow::Result<()> {
    let public = config.server.listen.iter().map(|listener| (listener.address, "server.listen"));
    for (address, key) in public.chain([(config.server.admin_listen, "server.adminListen")]) {
        bind(address).with_context(|| format!("cannot listen at {address} (`{key}`); is another process using it?"))?;
    }
    Ok(())
}

fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)
}

fn addresses(config: &Config) -> String {
    let addresses: Vec<_> = config.server.listen.iter().map(|listener| listener.address.to_string()).collect();
    addresses.join(", ")
}

/// Tells others who we are; taken away at the end, unless a successor wrote its own.
struct PidFile<'p>(&'p Path);

impl<'p> PidFile<'p> {
    fn write(path: &'p Path) -> anyhow::Result<Self> {
        std::fs::write(path, format!("{}\n", process::id()))
            .with_context(|| format!("cannot write `server.pidFile` {}", path.display()))?;
        Ok(Self(path))
    }
}

impl PidFile<'_> {
    /// Takes the file away, if it is still ours.
    fn remove(path: &Path) {
        let ours = std::fs::read_to_string(path).is_ok_and(|text| text.trim() == process::id().to_string());
        if ours && let Err(error) = std::fs::remove_file(path) {
            tracing::warn!(event = "mcp_gateway_stopping", %error, "the pid file stays");
        }
    }
}

impl Drop for PidFile<'_> {
    fn drop(&mut self) {
        Self::remove(self.0);
    }
}

/// Seals with the first key of the ring what other keys had sealed, while gateways serve.
pub fn reseal(config: &Config) -> anyhow::Result<upstream::reseal::Tally> {
    if config.encryption_keys.is_empty() {
        bail!(
            "there is no key to change to: set `encryption.keys`, the new key first, and behind it the one of the key \
             file as {{id: embedded, key: $file(..)}}"
        );
    }
    migrate(config)?;
    let (store, key_ring) = (assemble::store(config)?, assemble::key_ring(config)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(upstream::reseal::reseal(&*store, &key_ring)).context("the store failed; run it again to go on")
}

fn server_conf(config: &Config, process: proxy::Process) -> ServerConf {
    let mut conf = ServerConf {
        threads: config.server.threads,
        // Longer than the gateway itself waits.
        grace_period_seconds: Some(config.server.grace_period.as_secs() + 5),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    if let Some(path) = &config.server.upgrade_socket {
        conf.upgrade_sock = path.display().to_string();
    }
    proxy::configure(&mut conf, process);
    conf
}

/// The listeners, and the certificates that those with TLS show.
fn listeners(config: &Config) -> anyhow::Result<(Vec<Listener>, Vec<Arc<Certificate>>)> {
    let mut shown = reload::certificates(config)?.into_iter().map(Certificate::new).collect::<Vec<_>>().into_iter();
    let certificates = shown.clone().collect();
    let listener = |listener: &config::Listener| Listener {
        address: listener.address.to_string(),
        tls: listener.tls.as_ref().and_then(|_| shown.next()),
    };
    Ok((config.server.listen.iter().map(listener).collect(), certificates))
}

/// How long new connections are taken after readiness is gone, for whoever sends them to see that it is.
const LONGEST_NOTICE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_address_that_another_listens_at_cannot_be_had_until_it_is_left() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let other = TcpListener::bind(host).unwrap();
            let address = other.local_addr().unwrap();
            assert_eq!(bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            drop(other);
            bind(address).unwrap();
        }
    }
}
