//! Builds everything and runs it; the only place that names the concrete store.

mod admin;
mod assemble;
mod endpoints;
mod housekeeping;
mod key_file;
mod signals;

use std::sync::{Arc, atomic::AtomicBool};

use anyhow::Context;
use pingora::{
    server::{RunArgs, Server, ShutdownSignalWatch, configuration::ServerConf},
    services::{Service, ServiceWithDependents, background::background_service, listening},
};

pub use signals::Signals;

use crate::{clock::Clock, config::Config};

/// How a gateway starts, beside its configuration.
pub struct Start {
    /// Take the listening sockets over from the running process.
    pub upgrade: bool,
    /// Bring the store's schema up to date first.
    pub migrate: bool,
    /// The clock.
    pub clock: Clock,
    /// What ends the gateway; unset: the signals of the process.
    pub shutdown: Option<Box<dyn ShutdownSignalWatch>>,
    /// Services to run beside the gateway.
    pub beside: Vec<Box<dyn ServiceWithDependents>>,
}

impl Default for Start {
    fn default() -> Self {
        Self { upgrade: false, migrate: true, clock: Clock::system(), shutdown: None, beside: Vec::new() }
    }
}

/// Serves until the shutdown signal.
pub fn run(config: Config, start: Start) -> anyhow::Result<()> {
    let draining = Arc::new(AtomicBool::new(false));
    let server_conf = server_conf(&config);
    let store = assemble::store(&config)?;
    if start.migrate {
        migrate_store(&config)?;
    }
    let admin_address = config.server.admin_listen;
    let gateway = assemble::gateway(&config, Arc::clone(&store), start.clock.clone(), Arc::clone(&draining))?;

    let mut server = Server::new_with_opt_and_conf(None, server_conf);
    Ok(())
}
