//! Lets what is open come to its end when the process is to leave, and ends it as soon as nothing is open.
//!
//! Pingora sleeps through the whole grace period, however little there is to wait for, and hears no signal meanwhile; so
//! the process is ended from here.

use std::{path::PathBuf, process, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{server::ShutdownWatch, services::background::BackgroundService};
use tokio::{
    signal::unix::SignalKind,
    time::{Instant, sleep},
};

use super::{PidFile, observe::Rolling, signals::Watched};
use crate::{proxy::Underway, telemetry, upstream::connections};

/// The background task that ends the process.
pub(super) struct Leaving {
    pub(super) underway: Arc<Underway>,
    pub(super) grace: Duration,
    pub(super) pid_file: Option<PathBuf>,
    pub(super) rolling: Rolling,
}

#[async_trait]
impl BackgroundService for Leaving {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        if shutdown.wait_for(|leaves| *leaves).await.is_err() {
            return;
        }
        // Not before: the signal that began this is none to hurry, and one at the start would get lost here.
        let (mut interrupt, mut terminate) =
            (Watched::of(SignalKind::interrupt()), Watched::of(SignalKind::terminate()));
        tokio::select! {
            () = self.come_to_an_end() => {}
            () = interrupt.arrives() => {}
            () = terminate.arrives() => {}
        }
        tracing::info!(event = "mcp_gateway_stopped", cut = self.underway.count(), "stopped");
        if let Some(path) = &self.pid_file {
            PidFile::remove(path);
        }
        self.rolling.end().await;
        telemetry::log::flush();
        process::exit(0);
    }
}

impl Leaving {
    /// Ends the streams first, a few at a time, since all of them come back to somebody else; then waits for the calls,
    /// and cuts what is left when the grace period ends.
    async fn come_to_an_end(&self) {
        let end = Instant::now() + self.grace;
        let pause = (self.grace / 4).min(STREAMS_END_WITHIN) / u32::from(SHARES);
        for share in 0..SHARES {
            self.underway.end_streams(usize::from(share), usize::from(SHARES));
            sleep(pause).await;
        }
        while !self.is_idle() && Instant::now() < end {
            sleep(LOOK_EVERY).await;
        }
        self.underway.end_all();
        let end = Instant::now() + LAST_WORDS;
        while !self.is_idle() && Instant::now() < end {
            sleep(LOOK_EVERY).await;
        }
    }

    /// A refresh that is under way has a token in its hands that the upstream has already replaced.
    fn is_idle(&self) -> bool {
        self.underway.is_idle() && connections::refreshes_under_way() == 0
    }
}

const SHARES: u8 = 16;
const STREAMS_END_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what was cut has to tell its client, and a refresh to be kept.
const LAST_WORDS: Duration = Duration::from_secs(2);
