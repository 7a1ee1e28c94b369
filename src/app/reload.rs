//! SIGHUP: the configuration is read anew, and holds as a whole or not at all.

use std::{
    fs,
    path::PathBuf,
    ptr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use rustls::sign::CertifiedKey;
use tokio::{signal::unix::SignalKind, task::spawn_blocking, time::sleep};

use super::{assemble, signals::Watched};
use crate::{
    config::{self, Config},
    crypto::KeyRing,
    proxy::{Certificate, CurrentRules},
    routes::{Route, Routes},
};

/// Reads the configuration.
pub type Load = dyn Fn() -> Result<Config, config::Error> + Send + Sync;

/// The background task that waits for SIGHUP.
pub(super) struct Reload {
    inner: Arc<Inner>,
}

struct Inner {
    load: Box<Load>,
    shared: assemble::Shared,
    rules: Arc<CurrentRules>,
    certificates: Vec<Arc<Certificate>>,
    running: Mutex<Running>,
}

/// What holds at the moment.
struct Running {
    config: Config,
    key_ring: Arc<KeyRing>,
}

/// The routes that a reload changed, beside those that hold now.
struct Changed {
    operation_ids: Vec<String>,
    now: Arc<Routes>,
}

#[async_trait]
impl BackgroundService for Reload {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut hangup = Watched::of(SignalKind::hangup());
        loop {
            tokio::select! {
                () = hangup.arrives() => {}
                _ = shutdown.wait_for(|stops| *stops) => return,
            }
            let inner = Arc::clone(&self.inner);
            // It reads files, and what it makes ready is made ready at its own pace.
            let outcome = match spawn_blocking(move || inner.reload()).await {
                Ok(outcome) => outcome.map_err(|error| format!("{error:#}")),
                Err(error) => Err(error.to_string()),
            };
            self.inner.tell(outcome.as_ref().err());
            match outcome {
                Ok(Some(changed)) => self.end_streams(changed),
                Ok(None) => {}
                Err(error) => tracing::error!(
                    event = "mcp_config_reload_refused",
                    error,
                    "the configuration cannot be used; the one before holds"
                ),
            }
        }
    }
}

impl Reload {
    pub(super) fn new(
        load: Box<Load>,
        config: Config,
        shared: assemble::Shared,
        key_ring: Arc<KeyRing>,
        rules: Arc<CurrentRules>,
        certificates: Vec<Arc<Certificate>>,
    ) -> Self {
        let running = Mutex::new(Running { config, key_ring });
        Self { inner: Arc::new(Inner { load, shared, rules, certificates, running }) }
    }

    /// Ends the streams on changed routes, and once more those that were about to open.
    fn end_streams(&self, changed: Changed) {
        let underway = Arc::clone(&self.inner.shared.underway);
        underway.end_streams_on(|route| changed.overtakes(route));
        tokio::spawn(async move {
            sleep(OPEN_WITHIN).await;
            underway.end_streams_on(|route| changed.overtakes(route));
        });
    }
}

impl Inner {
    /// Everything that can fail comes first, and nothing is changed by it.
    fn reload(&self) -> anyhow::Result<Option<Changed>> {
        let begun = Instant::now();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let config = (self.load)()?;
        let fixed = fixed(&running.config, &config);
        if !fixed.is_empty() {
            bail!("{} cannot change in a running process: upgrade or restart it, or undo the change", fixed.join(", "));
        }
        let same_keys = config.encryption_keys == running.config.encryption_keys;
        let key_ring = if same_keys { Arc::clone(&running.key_ring) } else { Arc::new(assemble::key_ring(&config)?) };
        let setup = assemble::setup(&config, &self.shared, &key_ring)?;
        let routes = Arc::clone(&setup.routes);
        let rules = self.rules.prepare(setup)?;
        let certificates = certificates(&config)?;

        for warning in &config.warnings {
            tracing::warn!(event = "mcp_config_warning", "{warning}");
        }
        self.rules.replace(rules);
        self.shared.underway.limit(assemble::limits(&config));
        self.shared.throttle.limit(assemble::rate_limits(&config));
        for (shown, next) in self.certificates.iter().zip(certificates) {
            shown.renew(next);
        }
        let changed = changed(&running.config, &config);
        tracing::info!(
            event = "mcp_config_reloaded",
            routes = config.routes.len(),
            changed = changed.join(", "),
            durationMs = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "the configuration was read anew"
        );
        *running = Running { config, key_ring };
        Ok((!changed.is_empty()).then_some(Changed { operation_ids: changed, now: routes }))
    }

    /// Leaves a note beside the upgrade socket for `conf/upgrade.sh`, since a signal has no answer.
    fn tell(&self, refused: Option<&String>) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(socket) = &running.config.server.upgrade_socket else { return };
        let beside = |suffix| PathBuf::from(format!("{}{suffix}", socket.display()));
        let text = refused.map_or_else(|| "reloaded\n".to_owned(), |why| format!("refused: {why}\n"));
        // Whoever waits for it finds it whole.
        let told =
            fs::write(beside(".reload.new"), text).and_then(|()| fs::rename(beside(".reload.new"), beside(".reload")));
        if let Err(error) = told {
            tracing::warn!(%error, "what became of a reload cannot be noted beside server.upgradeSocket");
        }
    }
}

impl Changed {
    /// Whether a route is one of those, as it was before.
    fn overtakes(&self, route: &Route) -> bool {
        self.operation_ids.contains(&route.operation_id)
            && !self.now.of(&route.operation_id).is_some_and(|now| ptr::eq(&raw const **now, route))
    }
}

/// The certificates of the listeners that have one, in their order.
pub(super) fn certificates(config: &Config) -> anyhow::Result<Vec<CertifiedKey>> {
    let with_tls = config.server.listen.iter().filter_map(|listener| Some((listener.address, listener.tls.as_ref()?)));
    let read = |(address, tls): (_, &config::ListenerTls)| {
        Certificate::read(&tls.cert, &tls.key).with_context(|| {
            format!(
                "the certificate for {address} cannot be used; see `server.listen[].tls.cert` {} and `key` {}",
                tls.cert.display(),
                tls.key.display()
            )
        })
    };
    with_tls.map(read).collect()
}

/// The keys that differ and that only a new process can follow.
fn fixed(running: &Config, new: &Config) -> Vec<&'static str> {
    let Config { name: _, server, store, encryption_keys: _, outbound: _, admins: _, identity: _, .. } = running;
    let Config { browser_login: _, gateway: _, rate_limits: _, routes: _, log, telemetry, warnings: _, .. } = running;
    let config::Server {
        listen,
        admin_listen,
        base_path: _,
        public_origins: _,
        allowed_origins: _,
        trusted_proxies: _,
        threads,
        upgrade_socket,
        grace_period,
        pid_file,
        limits: _,
    } = server;
    let places = |listen: &[config::Listener]| {
        listen.iter().map(|listener| (listener.address, listener.tls.is_some())).collect::<Vec<_>>()
    };
    let same = [
        ("server.listen", places(listen) == places(&new.server.listen)),
        ("server.adminListen", *admin_listen == new.server.admin_listen),
        ("server.threads", *threads == new.server.threads),
        ("server.upgradeSocket", *upgrade_socket == new.server.upgrade_socket),
        ("server.gracePeriodSeconds", *grace_period == new.server.grace_period),
        ("server.pidFile", *pid_file == new.server.pid_file),
        ("store", *store == new.store),
        ("log", *log == new.log),
        ("telemetry", *telemetry == new.telemetry),
    ];
    same.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}

/// The operation ids of routes that are new, gone, or not what they were.
fn changed(before: &Config, now: &Config) -> Vec<String> {
    let missing = |from: &Config, there: &Config| {
        let gone = from.routes.iter().filter(|route| !there.routes.contains(route));
        gone.map(|route| route.operation_id.clone()).collect::<Vec<_>>()
    };
    let mut changed = missing(before, now);
    changed.extend(missing(now, before));
    changed.sort();
    changed.dedup();
    changed
}

/// Longer than a stream may take from its first line to its place in the table.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
