//! Where what is seen of the gateway goes.

use std::sync::Arc;

use anyhow::Context;

use crate::{
    clock::Clock,
    telemetry::{Settings, Telemetry, log},
};

/// Telemetry with the sinks that the process and its configuration have.
pub(super) fn start(clock: Clock) -> anyhow::Result<Arc<Telemetry>> {
    let log = log::events().map(|format| (format, Box::new(log::write) as _));
    Telemetry::start(Settings { clock, log, file: None }).context("telemetry cannot start")
}
