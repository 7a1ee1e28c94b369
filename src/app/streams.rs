//! Ends what is open by tokens that have ended, while the gateway serves.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use tokio::time::MissedTickBehavior;

use crate::{clock::Clock, proxy::Underway, store::Store, telemetry::causes};

/// The background task that looks through what is open.
pub(super) struct Streams {
    pub(super) underway: Arc<Underway>,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
}

#[async_trait]
impl BackgroundService for Streams {
    async fn start(&self, _shutdown: ShutdownWatch) {
        tokio::join!(self.end_expired(), self.end_revoked(), self.end_overdue());
    }
}

impl Streams {
    /// Goes on while the process drains, since streams are open until its end.
    async fn end_expired(&self) {
        let mut rounds = tokio::time::interval(EXPIRED_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.underway.end_expired(self.clock.now());
        }
    }

    async fn end_overdue(&self) {
        let mut rounds = tokio::time::interval(OVERDUE_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.underway.end_overdue();
        }
    }

    /// A store that does not answer ends nothing: whoever was let in stays until it can be asked again.
    async fn end_revoked(&self) {
        let mut rounds = tokio::time::interval(REVOKED_EVERY);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            if let Err(error) = self.underway.end_revoked(&*self.store, self.clock.now()).await {
                tracing::warn!(event = "mcp_auth_store_failed", error = %causes(&error),
                    "open streams stay open unasked");
            }
        }
    }
}

const OVERDUE_EVERY: Duration = Duration::from_millis(200);
const EXPIRED_EVERY: Duration = Duration::from_secs(1);
/// Half of the time within which a revocation has effect that nobody hears of.
const REVOKED_EVERY: Duration = Duration::from_secs(5);
