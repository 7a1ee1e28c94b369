//! Where what is seen of the gateway goes: telemetry with the sinks of the configuration.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use http::HeaderMap;
use pingora::{
    server::ShutdownWatch,
    services::background::{BackgroundService, GenBackgroundService, background_service},
};
use tokio::{sync::Mutex, time::timeout};

use super::assemble;
use crate::{
    clock::Clock,
    config::Config,
    outbound::{self, Collector},
    store::Store,
    telemetry::{EventsFile, Exporter, Otlp, Post, Settings, Telemetry, causes, log},
};

/// Telemetry with the sinks that the process and its configuration have.
pub(super) fn start(config: &Config, clock: &Clock) -> anyhow::Result<Arc<Telemetry>> {
    let file = config.telemetry.events_file.as_ref().map(|file| EventsFile {
        path: file.path.clone(),
        max_bytes: file.megabytes * 1_000_000,
        max_files: file.count,
    });
    let settings = Settings {
        clock: clock.clone(),
        log: log::events().map(|format| (format, Box::new(log::take) as _)),
        file,
        otlp: config.telemetry.otlp.as_ref().map(|otlp| Otlp { trace_percent: otlp.trace_percent }),
        usage: true,
    };
    Telemetry::start(settings).context("`telemetry.eventsFile` cannot be written")
}

/// The service that sends to the collector, if there is one.
pub(super) fn exporting(
    config: &Config,
    telemetry: &Telemetry,
) -> anyhow::Result<Option<GenBackgroundService<Exporting>>> {
    let (Some(otlp), Some(exporter)) = (&config.telemetry.otlp, telemetry.exporter()) else { return Ok(None) };
    let headers: HeaderMap = otlp.headers.iter().cloned().collect();
    let resolver = Arc::new(outbound::Resolver::system());
    let collector = Collector::new(&assemble::outbound_settings(config)?, resolver, &otlp.endpoint, headers)
        .context("the client for `telemetry.otlpEndpoint` cannot start")?;
    let exporting = Exporting { exporter: Mutex::new(Some(exporter)), collector: ToCollector(collector) };
    Ok(Some(background_service("telemetry", exporting)))
}

/// Adds up between visits to the store, which are more frequent while the gateway drains, since each may be the last.
#[derive(Clone)]
pub(super) struct Rolling {
    telemetry: Arc<Telemetry>,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Rolling {
    pub(super) fn new(telemetry: &Arc<Telemetry>, store: &Arc<dyn Store>, clock: &Clock) -> Self {
        Self { telemetry: Arc::clone(telemetry), store: Arc::clone(store), clock: clock.clone() }
    }

    /// Writes what is left when the gateway ends: events, and what was used since the last visit to the store.
    pub(super) async fn end(&self) {
        self.telemetry.finish();
        if timeout(LAST_VISIT, self.visit()).await.is_err() {
            tracing::warn!(event = "mcp_telemetry_failed", "the store takes no last roll-ups");
        }
    }

    /// The same when no runtime is left.
    pub(super) fn finish(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        runtime.block_on(self.end());
        Ok(())
    }

    async fn visit(&self) {
        let usage = self.telemetry.take_usage();
        if usage.is_empty() {
            return;
        }
        if let Err(error) = self.store.add_usage(self.clock.now(), &usage).await {
            tracing::warn!(event = "mcp_telemetry_failed", error = %causes(&error), "roll-ups wait for the store");
            self.telemetry.put_usage_back(usage);
        }
    }
}

#[async_trait]
impl BackgroundService for Rolling {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut every = ROLL_UP_EVERY;
        loop {
            tokio::select! {
                () = tokio::time::sleep(every) => {}
                _ = shutdown.changed(), if every == ROLL_UP_EVERY => every = ROLL_UP_EVERY_DRAINING,
            }
            self.visit().await;
        }
    }
}

/// Sends as long as the gateway runs, and while it drains.
pub(super) struct Exporting {
    exporter: Mutex<Option<Exporter>>,
    collector: ToCollector,
}

#[async_trait]
impl BackgroundService for Exporting {
    async fn start(&self, _shutdown: ShutdownWatch) {
        if let Some(exporter) = self.exporter.lock().await.take() {
            exporter.run(&self.collector).await;
        }
    }
}

struct ToCollector(Collector);

#[async_trait]
impl Post for ToCollector {
    async fn post(&self, path: &'static str, body: Vec<u8>) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.post(path, "application/x-protobuf", body, DEADLINE).await?)
    }
}

const ROLL_UP_EVERY: Duration = Duration::from_secs(10);
const ROLL_UP_EVERY_DRAINING: Duration = Duration::from_secs(1);
const LAST_VISIT: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(10);
