//! `telemetry`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{EVENTS_FILE_COUNT, EVENTS_FILE_MEGABYTES, TRACE_PERCENT, null, number, section};
use crate::config::at::{At, AtSecret};

/// Where events and traces go, beside the log.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Telemetry {
    /// The OTLP collector that receives traces and events over HTTP, such as `http://127.0.0.1:4318`.
    #[schemars(default = "null")]
    pub otlp_endpoint: At<String>,
    /// Headers for the collector, by name; most want a key.
    #[schemars(default = "section")]
    pub otlp_headers: At<BTreeMap<String, AtSecret>>,
    /// How many of a hundred traces that begin here are recorded. A trace that a client began is recorded if the client
    /// records it.
    #[schemars(default = "number::<TRACE_PERCENT>")]
    pub trace_percent: At<i64>,
    /// A file that gets every event as a line of JSON.
    #[schemars(default = "null")]
    pub events_file: At<String>,
    /// How large the file may become before it is put aside, in megabytes.
    #[schemars(default = "number::<EVENTS_FILE_MEGABYTES>")]
    pub events_file_megabytes: At<i64>,
    /// How many such files there may be.
    #[schemars(default = "number::<EVENTS_FILE_COUNT>")]
    pub events_file_count: At<i64>,
}
