//! The series of one route: found by index, made when first needed, so that counting allocates nothing.

use std::{sync::OnceLock, time::Duration};

use super::histogram::{GATEWAY, HTTP, Histogram, MCP};
use crate::telemetry::{Method, Outcome};

/// Durations of HTTP requests by method and status.
pub(super) struct HttpSeries(Box<[OnceLock<Box<Histogram>>]>);

/// Everything that is counted about a route.
pub(super) struct RouteSeries {
    pub(super) http: HttpSeries,
    operations: Box<[OnceLock<Box<Operation>>]>,
    /// The gateway's own part.
    pub(super) gateway: Histogram,
}

/// One method with one outcome.
pub(super) struct Operation {
    /// From the client's request to the end of the answer.
    pub(super) server: Histogram,
    /// The upstream's part.
    pub(super) client: Histogram,
}

impl HttpSeries {
    pub(super) fn new() -> Self {
        Self((0..METHODS.len() * STATUSES.len()).map(|_| OnceLock::new()).collect())
    }

    pub(super) fn observe(&self, method: &http::Method, status: u16, latency: Duration) {
        let method = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let status = STATUSES.iter().position(|known| *known == status).unwrap_or_else(|| hundreds(status));
        let series = &self.0[method * STATUSES.len() + status];
        series.get_or_init(|| Box::new(Histogram::new())).observe(latency, &HTTP);
    }

    /// Every series that was needed, with method and status.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, u16, &Histogram)> {
        self.0.iter().enumerate().filter_map(|(index, series)| {
            let (method, status) = (METHODS[index / STATUSES.len()], STATUSES[index % STATUSES.len()]);
            series.get().map(|series| (method, status, &**series))
        })
    }
}

impl RouteSeries {
    pub(super) fn new() -> Self {
        Self {
            http: HttpSeries::new(),
            operations: (0..Method::COUNT * Outcome::ALL.len()).map(|_| OnceLock::new()).collect(),
            gateway: Histogram::new(),
        }
    }

    pub(super) fn observe(&self, method: Method, outcome: Outcome, latency: Duration, upstream: Option<Duration>) {
        let outcome = outcome as usize;
        let series = self.operations[method.index() * Outcome::ALL.len() + outcome]
            .get_or_init(|| Box::new(Operation { server: Histogram::new(), client: Histogram::new() }));
        series.server.observe(latency, &MCP);
        if let Some(upstream) = upstream {
            series.client.observe(upstream, &MCP);
            self.gateway.observe(latency.saturating_sub(upstream), &GATEWAY);
        }
    }

    /// Every operation that was needed, with method and outcome.
    pub(super) fn operations(&self) -> impl Iterator<Item = (&'static str, &'static str, &Operation)> {
        self.operations.iter().enumerate().filter_map(|(index, series)| {
            let method = Method::at(index / Outcome::ALL.len());
            let outcome = Outcome::ALL[index % Outcome::ALL.len()];
            series.get().map(|series| (method.as_str(), outcome.as_str(), &**series))
        })
    }
}

/// The place of the round status below one that nobody expects: a foreign server may send any.
fn hundreds(status: u16) -> usize {
    let round = status / 100 * 100;
    STATUSES.iter().position(|known| *known == round).unwrap_or(0)
}

/// The last one stands for all others.
const METHODS: [&str; 6] = ["POST", "GET", "DELETE", "OPTIONS", "HEAD", "_OTHER"];

/// 0 is an exchange that ended without an answer; round ones stand for others of their class.
const STATUSES: [u16; 28] = [
    0, 200, 202, 401, 404, 204, 302, 303, 400, 403, 405, 408, 409, 411, 413, 414, 421, 428, 429, 431, 500, 502, 503,
    504, 100, 300, 307, 406,
];
