//! What the signals of the process mean.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::handover;
use crate::telemetry::causes;

/// SIGTERM drains and ends, SIGQUIT hands the sockets to a successor and drains, SIGINT ends at once. SIGHUP is for
/// [`super::reload`].
pub struct Signals {
    /// Set when connections are to be closed after their answer.
    pub(super) draining: Arc<AtomicBool>,
    /// Set when nobody shall send us more.
    pub(super) leaving: Arc<AtomicBool>,
    /// How long we still take new connections after we said that we leave.
    pub(super) notice: Duration,
    /// The socket for the handover; without one SIGQUIT is like SIGTERM, since the place that Pingora would use instead is
    /// open to everybody on this machine.
    pub(super) handover: Option<PathBuf>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (mut interrupt, mut terminate, mut quit) = (
            Watched::of(SignalKind::interrupt()),
            Watched::of(SignalKind::terminate()),
            Watched::of(SignalKind::quit()),
        );
        loop {
            tokio::select! {
                () = interrupt.arrives() => return ShutdownSignal::FastShutdown,
                () = terminate.arrives() => break,
                () = quit.arrives() => {}
            }
            let Some(socket) = &self.handover else { break };
            match handover::successor(socket) {
                Ok(successor) => {
                    self.draining.store(true, Ordering::Release);
                    tracing::info!(event = "mcp_gateway_upgrading", successor, "handing over to the new process");
                    return ShutdownSignal::GracefulUpgrade;
                }
                Err(why) => tracing::error!(event = "mcp_gateway_upgrade_refused", error = %causes(&why),
                    "SIGQUIT hands over to a new process, and there is none; serving on"),
            }
        }
        self.leaving.store(true, Ordering::Release);
        self.draining.store(true, Ordering::Release);
        tracing::info!(event = "mcp_gateway_stopping", "draining, then stopping");
        tokio::select! {
            () = tokio::time::sleep(self.notice) => ShutdownSignal::GracefulTerminate,
            () = interrupt.arrives() => ShutdownSignal::FastShutdown,
            () = terminate.arrives() => ShutdownSignal::FastShutdown,
        }
    }
}

/// Keeps SIGHUP from ending the process, from now on for good; whoever waits for it hears it.
pub(super) fn hear_hangups() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let _within = runtime.enter();
    // The handler outlives the runtime.
    signal(SignalKind::hangup()).map(drop).context("SIGHUP cannot be heard")
}

/// A signal that we may or may not be able to hear.
pub(super) struct Watched(Option<Signal>);

impl Watched {
    pub(super) fn of(kind: SignalKind) -> Self {
        match signal(kind) {
            Ok(signal) => Self(Some(signal)),
            Err(error) => {
                tracing::error!(event = "mcp_gateway_signal_failed", %error, "a signal cannot be heard");
                Self(None)
            }
        }
    }

    pub(super) async fn arrives(&mut self) {
        let heard = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
