//! The store at the start of the program: opened, waited for, and brought up to date.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};

use super::assemble;
use crate::{
    config::{self, Config},
    store::{self, Store},
    telemetry::causes,
};

/// The store, with its schema up to date.
pub(super) fn store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let store = assemble::store(config)?;
    match config.store {
        config::Store::Sqlite { .. } => update(&*store)?,
        // A pooled connection belongs to the runtime that made it, and this one ends.
        config::Store::Postgres { .. } => migrate(config)?,
    }
    Ok(store)
}

/// Brings the store's schema up to date.
pub fn migrate(config: &Config) -> anyhow::Result<()> {
    update(&*assemble::store(config)?)
}

/// A database that starts together with the gateway may take a moment.
fn update(store: &dyn Store) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let begun = Instant::now();
    loop {
        match runtime.block_on(store.migrate()) {
            Err(error @ store::Error::Unavailable(_)) if begun.elapsed() < PATIENCE => {
                tracing::warn!(event = "mcp_store_unavailable", error = %causes(&error),
                    "waiting for the store before serving");
                std::thread::sleep(PAUSE);
            }
            Err(error @ store::Error::Unavailable(_)) => {
                let waited = begun.elapsed().as_secs();
                return Err(anyhow!(error)
                    .context(format!("the store of `store.url` did not answer for {waited} seconds; is it running?")));
            }
            outcome => return outcome.context("the store's schema cannot be brought up to date"),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);
