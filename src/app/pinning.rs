//! Writes what was noticed about tools, and keeps what memory believes about them fresh.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};

use super::assemble;
use crate::{
    clock::Clock,
    config::Config,
    pins::Pins,
    store::{self, SeenTool, Sighting, Store},
    telemetry::{
        causes,
        counters::{TOOLS_CHANGED, TOOLS_PINNED},
    },
};

/// The background task between the store and the memory of tools.
pub(super) struct Pinning {
    pins: Arc<Pins>,
    store: Arc<dyn Store>,
    clock: Clock,
}

impl Pinning {
    /// The task, after the store was asked once: a gateway that does not know what is held must not serve.
    pub(super) fn load(config: &Config, shared: &assemble::Shared) -> anyhow::Result<Self> {
        let pinning =
            Self { pins: Arc::clone(&shared.pins), store: Arc::clone(&shared.store), clock: shared.clock.clone() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        // A pooled connection belongs to the runtime that made it, and this one ends.
        let store = assemble::store(config)?;
        let pins = runtime.block_on(store.tool_pins()).context("the store does not say which tools there are")?;
        pinning.pins.replace(pins);
        Ok(pinning)
    }

    async fn visit(&self) {
        if let Err(error) = self.exchange().await {
            tracing::warn!(event = "mcp_tool_pinning_failed", error = %causes(&error),
                "definitions of tools wait for the store");
        }
    }

    async fn exchange(&self) -> store::Result<()> {
        let mut noticed = self.pins.noticed().into_iter();
        while let Some(seen) = noticed.next() {
            match self.store.see_tool(&seen, self.clock.now()).await {
                Ok(sighting) => tell(&seen, sighting),
                Err(error) => {
                    self.pins.put_back(std::iter::once(seen).chain(noticed).collect());
                    return Err(error);
                }
            }
        }
        self.pins.replace(self.store.tool_pins().await?);
        Ok(())
    }
}

#[async_trait]
impl BackgroundService for Pinning {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        loop {
            tokio::select! {
                () = self.pins.news() => {}
                () = tokio::time::sleep(STALENESS) => {}
                _ = shutdown.changed() => break,
            }
            self.visit().await;
            // What comes in a burst is one visit.
            tokio::time::sleep(PAUSE).await;
        }
        self.visit().await;
    }
}

fn tell(seen: &SeenTool, sighting: Sighting) {
    match sighting {
        Sighting::First => {
            TOOLS_PINNED.count();
            tracing::info!(
                event = "mcp_tool_pinned",
                operationId = seen.operation_id,
                capabilityName = seen.tool,
                "a tool is seen for the first time"
            );
        }
        Sighting::Changed => {
            TOOLS_CHANGED.count();
            tracing::warn!(
                event = "mcp_tool_changed",
                operationId = seen.operation_id,
                capabilityName = seen.tool,
                "an upstream defines a tool in another way than before"
            );
        }
        Sighting::Known => {}
    }
}

/// How long a decision of another process may be unknown, where nobody hears of it.
const STALENESS: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
