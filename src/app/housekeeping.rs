//! Removes what can never matter again, in small batches, while the gateway serves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};

use crate::{clock::Clock, store::Store, telemetry::causes};

/// The background task that cleans up.
pub(super) struct Housekeeping {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
}

#[async_trait]
impl BackgroundService for Housekeeping {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut rounds = tokio::time::interval(EVERY);
        loop {
            tokio::select! {
                _ = rounds.tick() => self.clean().await,
                _ = shutdown.changed() => return,
            }
        }
    }
}

impl Housekeeping {
    /// Removes batch after batch until nothing is left.
    async fn clean(&self) {
        let now = self.clock.now();
        loop {
            match self.store.remove_expired(now, now.minus(UNUSED_CLIENTS_LIVE)).await {
                Ok(0) => return,
                Ok(removed) => tracing::debug!(removed, "expired rows removed"),
                Err(error) => {
                    tracing::warn!(event = "mcp_store_cleanup_failed", error = %causes(&error), "expired rows could not be removed");
                    return;
                }
            }
        }
    }
}

const EVERY: Duration = Duration::from_mins(1);
/// How long a registered client is kept after its last use.
const UNUSED_CLIENTS_LIVE: Duration = Duration::from_hours(90 * 24);
