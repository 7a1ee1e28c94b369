//! Sends batches to the collector, one after the other.

use std::time::Duration;

use async_trait::async_trait;
use tokio::{sync::mpsc::Receiver, time::Instant};

use super::{Batch, Signal};

/// Who posts a message to the collector.
#[async_trait]
pub trait Post: Send + Sync + 'static {
    /// Posts protobuf to `path` below the endpoint, within a deadline, and says which status came back.
    async fn post(&self, path: &'static str, body: Vec<u8>) -> Result<u16, Box<dyn std::error::Error + Send + Sync>>;
}

/// The task that sends what the background thread hands over.
pub struct Exporter {
    batches: Receiver<Batch>,
    not_before: [Option<Instant>; 2],
}

/// What becomes of a batch.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Taken,
    Again,
    /// It will never be taken: the collector has no such path, or finds it wrong.
    Refused {
        no_such_path: bool,
    },
}

impl Exporter {
    pub(in crate::telemetry) const fn new(batches: Receiver<Batch>) -> Self {
        Self { batches, not_before: [None; 2] }
    }

    /// Sends until the gateway's telemetry ends.
    pub async fn run(mut self, collector: &dyn Post) {
        while let Some(batch) = self.batches.recv().await {
            let pause = &mut self.not_before[batch.signal as usize];
            if pause.is_some_and(|until| Instant::now() < until) {
                batch.signal.dropped().add(batch.count);
                continue;
            }
            *pause = send(collector, batch).await.map(|pause| Instant::now() + pause);
        }
    }
}

/// Sends a batch, some times if it must be; what is returned is how long not to send anything of its kind.
async fn send(collector: &dyn Post, batch: Batch) -> Option<Duration> {
    let Batch { signal, body, count } = batch;
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let (fate, error) = match collector.post(signal.path(), body.clone()).await {
            Ok(status) => (fate(status), format!("status {status}")),
            Err(error) => (Fate::Again, error.to_string()),
        };
        match fate {
            Fate::Taken => return None,
            Fate::Again if attempt < ATTEMPTS => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            Fate::Again | Fate::Refused { .. } => {
                signal.dropped().add(count);
                tracing::warn!(
                    event = "mcp_telemetry_failed",
                    signal = name(signal),
                    error,
                    dropped = count,
                    "the collector does not take what it is sent"
                );
                return Some(if fate == (Fate::Refused { no_such_path: true }) { LONG_PAUSE } else { PAUSE });
            }
        }
    }
    None
}

/// What a status means by the rules of OTLP; a collector that takes one signal alone has no path for the other.
const fn fate(status: u16) -> Fate {
    match status {
        200..=299 => Fate::Taken,
        429 | 502..=504 => Fate::Again,
        404 | 405 | 501 => Fate::Refused { no_such_path: true },
        _ => Fate::Refused { no_such_path: false },
    }
}

const fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Logs => "logs",
    }
}

const ATTEMPTS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// After a failure, so that a collector that is down costs nothing and fills no log.
const PAUSE: Duration = Duration::from_secs(10);
const LONG_PAUSE: Duration = Duration::from_secs(600);
