//! `telemetry`: where events and traces go, beside the log.

use std::path::PathBuf;

use http::{HeaderName, HeaderValue};
use url::Url;

use crate::config::check::Check;
use crate::config::file;
use crate::config::parse;
use crate::config::problem::Fault;
use crate::config::upstream::fixed_headers;

/// Where events and traces go, beside the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// The collector.
    pub otlp: Option<Otlp>,
    /// The file.
    pub events_file: Option<EventsFile>,
}

/// A collector that takes OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otlp {
    /// Its base, below which `/v1/traces` and `/v1/logs` are.
    pub endpoint: Url,
    /// What it wants to be sent along.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How many of a hundred traces that begin here are recorded.
    pub trace_percent: u64,
}

/// A file of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsFile {
    /// Where it is.
    pub path: PathBuf,
    /// How large it may become, in megabytes.
    pub megabytes: u64,
    /// How many there may be.
    pub count: usize,
}

impl Telemetry {
    /// Checks the section.
    pub fn check(file: &file::Telemetry, check: &mut Check) -> Self {
        let endpoint = check.parse(&file.otlp_endpoint, |text| parse::http_url(text));
        let headers = fixed_headers(&file.otlp_headers, check);
        let trace_percent = check.number(&file.trace_percent, 0..=100).unwrap_or(100);
        if file.otlp_endpoint.get().is_none() && !headers.is_empty() {
            let belongs_to = "otlpEndpoint".to_owned();
            check
                .report(&file.otlp_headers.place, Fault::Misplaced { belongs_to, given: "no otlpEndpoint".to_owned() });
        }
        let megabytes = check.number(&file.events_file_megabytes, 1..=10_000);
        let count = check.number(&file.events_file_count, 1..=1_000);
        let events_file = check.path(&file.events_file).map(|path| EventsFile {
            path,
            megabytes: megabytes.unwrap_or(file::EVENTS_FILE_MEGABYTES.unsigned_abs()),
            count: count.and_then(|count| usize::try_from(count).ok()).unwrap_or(5),
        });
        Self { otlp: endpoint.map(|endpoint| Otlp { endpoint, headers, trace_percent }), events_file }
    }
}
