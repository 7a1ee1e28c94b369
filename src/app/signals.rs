//! What the signals of the process mean.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM drains and ends, SIGQUIT hands the sockets to a successor and drains, SIGINT ends at once.
pub struct Signals {
    pub(super) draining: Arc<AtomicBool>,
    /// Whether a socket for the handover is configured; without one SIGQUIT is like SIGTERM, since the place that Pingora
    /// would use instead is open to everybody on this machine.
    pub(super) hands_over: bool,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (mut interrupt, mut terminate, mut quit) = (
            Watched::of(SignalKind::interrupt()),
            Watched::of(SignalKind::terminate()),
            Watched::of(SignalKind::quit()),
        );
        tokio::select! {
            () = interrupt.arrives() => ShutdownSignal::FastShutdown,
            () = terminate.arrives() => {
                self.draining.store(true, Ordering::Release);
                tracing::info!(event = "mcp_gateway_stopping", "draining, then stopping");
                ShutdownSignal::GracefulTerminate
            }
            () = quit.arrives() => {
                self.draining.store(true, Ordering::Release);
                if self.hands_over {
                    tracing::info!(event = "mcp_gateway_upgrading", "handing over to the new process");
                    ShutdownSignal::GracefulUpgrade
                } else {
                    tracing::info!(event = "mcp_gateway_stopping", "draining, then stopping");
                    ShutdownSignal::GracefulTerminate
                }
            }
        }
    }
}

/// A signal that we may or may not be able to hear.
struct Watched(Option<Signal>);

impl Watched {
    fn of(kind: SignalKind) -> Self {
        match signal(kind) {
            Ok(signal) => Self(Some(signal)),
            Err(error) => {
                tracing::error!(event = "mcp_gateway_signal_failed", %error, "a signal cannot be heard");
                Self(None)
            }
        }
    }

    async fn arrives(&mut self) {
        let heard = match &mut self.0 {
            Some(signal) => signal.recv().await,
            None => None,
        };
        if heard.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
