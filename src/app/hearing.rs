//! Listens to what other replicas change, for as long as the gateway serves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};

use crate::{
    store::{Change, Changes, Store},
    telemetry::causes,
};

/// The background task that listens.
pub(super) struct Hearing {
    pub(super) store: Arc<dyn Store>,
    pub(super) changes: Arc<Changes>,
}

#[async_trait]
impl BackgroundService for Hearing {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        self.changes.subscribe(&self.changes, |_, change| {
            if *change == Change::Unheard {
                tracing::info!(event = "mcp_store_changes_heard", "changes of other replicas are heard from now on");
            }
        });
        tokio::select! {
            () = self.listen() => {}
            _ = shutdown.wait_for(|stops| *stops) => {}
        }
    }
}

impl Hearing {
    /// Listens again and again; the caches' own limits hold while nothing is heard.
    async fn listen(&self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let began = tokio::time::Instant::now();
            if let Err(error) = self.store.hear(&self.changes).await {
                if began.elapsed() > LONGEST_PAUSE {
                    pause = SHORTEST_PAUSE;
                }
                if pause == SHORTEST_PAUSE {
                    tracing::warn!(event = "mcp_store_changes_unheard", error = %causes(&error),
                        "changes of other replicas take effect after some seconds");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
