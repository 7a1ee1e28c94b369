//! Builds everything and runs it; the only place that names the concrete store.

mod admin;
mod assemble;
pub mod beside;
mod endpoints;
mod housekeeping;
mod key_file;
mod signals;

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::{Context, bail};
use pingora::{
    server::{
        RunArgs, Server, ShutdownSignalWatch,
        configuration::{Opt, ServerConf},
    },
    services::{ServiceWithDependents, background::background_service, listening},
};

use crate::{
    clock::Clock,
    config::{self, Config},
    proxy::{self, Listener},
};

/// How a gateway starts, beside its configuration.
pub struct Start {
    /// Take the listening sockets over from the running process.
    pub upgrade: bool,
    /// Bring the store's schema up to date first.
    pub migrate: bool,
    /// The clock.
    pub clock: Clock,
    /// What ends the gateway; unset: the signals of the process.
    pub shutdown: Option<Box<dyn ShutdownSignalWatch + Send>>,
    /// Services to run beside the gateway.
    pub beside: Vec<Box<dyn ServiceWithDependents>>,
}

impl Default for Start {
    fn default() -> Self {
        Self { upgrade: false, migrate: true, clock: Clock::system(), shutdown: None, beside: Vec::new() }
    }
}

/// Serves until the shutdown signal.
pub fn run(config: &Config, start: Start) -> anyhow::Result<()> {
    let hands_over = config.server.upgrade_socket.is_some();
    if start.upgrade && !hands_over {
        bail!(
            "--upgrade needs `server.upgradeSocket`, the socket that the running process hands its listeners over at"
        );
    }
    if start.migrate {
        migrate(config)?;
    }
    let draining = Arc::new(AtomicBool::new(false));
    let store = assemble::store(config)?;
    let parts = assemble::gateway(config, Arc::clone(&store), start.clock.clone(), Arc::clone(&draining))?;

    let options = Opt { upgrade: start.upgrade, ..Opt::default() };
    let mut server = Server::new_with_opt_and_conf(options, server_conf(config));
    server.bootstrap();
    let edge = proxy::service(proxy::Gateway::new(parts)?, &server.configuration, &listeners(config))?;
    server.add_service(edge);
    let admin = admin::Admin { store: Arc::clone(&store), draining: Arc::clone(&draining) };
    let mut admin = listening::Service::new("admin".to_owned(), admin);
    admin.add_tcp(&config.server.admin_listen.to_string());
    server.add_service(admin);
    server.add_service(background_service("housekeeping", housekeeping::Housekeeping { store, clock: start.clock }));
    for service in start.beside {
        server.add_boxed_service(service);
    }
    let shutdown_signal = start.shutdown.unwrap_or_else(|| Box::new(signals::Signals { draining, hands_over }));
    server.run(RunArgs { shutdown_signal });
    Ok(())
}

/// Brings the store's schema up to date.
pub fn migrate(config: &Config) -> anyhow::Result<()> {
    let store = assemble::store(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(store.migrate()).context("the store's schema cannot be brought up to date")
}

fn server_conf(config: &Config) -> ServerConf {
    let mut conf = ServerConf {
        threads: config.server.threads,
        grace_period_seconds: Some(config.server.grace_period.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        pid_file: config.server.pid_file.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        ..ServerConf::default()
    };
    if let Some(path) = &config.server.upgrade_socket {
        conf.upgrade_sock = path.display().to_string();
    }
    proxy::configure(&mut conf);
    conf
}

fn listeners(config: &Config) -> Vec<Listener> {
    let listener = |listener: &config::Listener| Listener {
        address: listener.address.to_string(),
        tls: listener.tls.as_ref().map(|tls| (tls.cert.clone(), tls.key.clone())),
    };
    config.server.listen.iter().map(listener).collect()
}
