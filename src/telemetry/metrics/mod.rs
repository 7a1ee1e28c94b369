//! Metrics for Prometheus, counted where the exchange ends and never lost, whatever becomes of its events.
//!
//! Names follow OpenTelemetry's semantic conventions where those have one; our own begin with `sallyport_`. Labels are
//! bounded by the configuration and the code: routes, methods of MCP, outcomes, reasons. No person, no tool.

mod endpoint;
mod histogram;
mod process;
mod series;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use foldhash::HashMap;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, prometheus_text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use self::{
    histogram::{Bounds, GATEWAY, HTTP, Histogram, MCP},
    process::Process,
    series::{HttpSeries, RouteSeries},
};
use super::{
    Exchange, Target,
    counters::{COUNTERS, OPEN_STREAMS},
};
use crate::store::Pool;

/// What is counted about exchanges.
pub struct Metrics {
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
    endpoints: Vec<HttpSeries>,
    failures: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
}

struct Route {
    path: Box<str>,
    series: RouteSeries,
}

/// The `Content-Type` of [`Metrics::render`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Default for Metrics {
    fn default() -> Self {
        Self {
            routes: RwLock::default(),
            endpoints: endpoint::TEMPLATES.iter().map(|_| HttpSeries::new()).collect(),
            failures: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Counts an exchange; on the warm path that is one look-up and a few atomic additions.
    pub(super) fn count(&self, exchange: &Exchange) {
        match &exchange.target {
            Target::Route(route) => {
                let route = self.route(&route.operation_id, &route.path);
                route.series.http.observe(&exchange.http_method, exchange.status, exchange.latency);
                if let Some(call) = &exchange.call {
                    route.series.observe(call.method, exchange.outcome, exchange.latency, exchange.upstream);
                }
            }
            Target::Path(path) => {
                let series = &self.endpoints[endpoint::template(path)];
                series.observe(&exchange.http_method, exchange.status, exchange.latency);
            }
        }
        if let Some(reason) = exchange.reason {
            let origin = exchange.fault.map_or("none", super::Fault::as_str);
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures.entry((origin, reason)).or_default() += 1;
        }
    }

    fn route(&self, operation_id: &str, path: &str) -> Arc<Route> {
        if let Some(route) = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(operation_id) {
            return Arc::clone(route);
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Route { path: path.into(), series: RouteSeries::new() });
        Arc::clone(routes.entry(operation_id.into()).or_insert_with(new))
    }

    /// Everything, in the text format of Prometheus.
    pub fn render(self: &Arc<Self>, pool: Option<Pool>) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape { metrics: Arc::clone(self), pool }));
        let mut text = String::new();
        // Writing to a string cannot fail, and the collector adds no failure of its own.
        let _always_written = prometheus_text::encode(&mut text, &registry);
        text
    }
}

struct Scrape {
    metrics: Arc<Metrics>,
    pool: Option<Pool>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.durations(&mut encoder)?;
        self.failures(&mut encoder)?;
        counters(&mut encoder)?;
        if let Some(pool) = self.pool {
            store_pool(&mut encoder, pool)?;
        }
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        gauges(&mut encoder, "sallyport_build_info", "The version that runs", &[(version, 1.0)])?;
        Process::look().map_or(Ok(()), |process| describe_process(&mut encoder, process))
    }
}

impl Scrape {
    fn durations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let routes = self.metrics.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut routes: Vec<_> = routes.iter().map(|(id, route)| (&**id, route)).collect();
        routes.sort_unstable_by_key(|(id, _)| *id);

        let mut http = Vec::new();
        let endpoints = endpoint::TEMPLATES.iter().copied().zip(&self.metrics.endpoints);
        let of_routes = routes.iter().map(|(_, route)| (&*route.path, &route.series.http));
        for (path, series) in endpoints.chain(of_routes) {
            for (method, status, histogram) in series.iter() {
                let labels = [
                    ("http_route", path.to_owned()),
                    ("http_request_method", method.to_owned()),
                    ("http_response_status_code", status.to_string()),
                ];
                http.push((labels, histogram));
            }
        }
        histograms(encoder, "http_server_request_duration_seconds", "Durations of HTTP requests", &http, &HTTP)?;

        let (mut server, mut client, mut gateway) = (Vec::new(), Vec::new(), Vec::new());
        for (id, route) in &routes {
            for (method, outcome, operation) in route.series.operations() {
                let labels = [
                    ("route", (*id).to_owned()),
                    ("mcp_method_name", method.to_owned()),
                    ("outcome", outcome.to_owned()),
                ];
                server.push((labels.clone(), &operation.server));
                client.push((labels, &operation.client));
            }
            gateway.push(([("route", (*id).to_owned())], &route.series.gateway));
        }
        let help = "Durations of MCP requests from the client's request to the end of the answer";
        histograms(encoder, "mcp_server_operation_duration_seconds", help, &server, &MCP)?;
        let help = "The upstream's part of the durations of MCP requests";
        histograms(encoder, "mcp_client_operation_duration_seconds", help, &client, &MCP)?;
        let help = "The gateway's own part of the durations of relayed MCP requests";
        histograms(encoder, "sallyport_gateway_duration_seconds", help, &gateway, &GATEWAY)
    }

    fn failures(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let failures = self.metrics.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let failures =
            failures.iter().map(|((origin, reason), count)| ([("origin", *origin), ("reason", *reason)], *count));
        totals(encoder, "sallyport_failures", "Requests that were refused or failed, by whose fault and why", failures)
    }
}

fn counters(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for group in COUNTERS.chunk_by(|a, b| a.name() == b.name()) {
        let counts = group.iter().map(|counter| (counter.label().into_iter().collect::<Vec<_>>(), counter.value()));
        totals(encoder, group[0].name(), group[0].help(), counts)?;
    }
    let open = whole(OPEN_STREAMS.value());
    gauge(encoder, "sallyport_open_streams", "Event streams that are open towards clients", open)
}

fn store_pool(encoder: &mut DescriptorEncoder<'_>, pool: Pool) -> fmt::Result {
    let states = [([("state", "idle")], exact(pool.idle)), ([("state", "used")], exact(pool.used))];
    gauges(encoder, "db_client_connection_count", "Connections to the database", &states)?;
    gauge(encoder, "db_client_connection_max", "The most connections to the database", exact(pool.max))?;
    let waiting = "Operations that wait for a connection to the database";
    gauge(encoder, "db_client_connection_pending_requests", waiting, exact(pool.waiting))
}

fn describe_process(encoder: &mut DescriptorEncoder<'_>, process: Process) -> fmt::Result {
    let mut cpu =
        encoder.encode_descriptor("process_cpu_seconds", "User and system CPU time", None, MetricType::Counter)?;
    ConstCounter::new(process.cpu_seconds).encode(cpu.encode_family::<[(&str, &str); 0]>(&[])?)?;
    gauge(encoder, "process_resident_memory_bytes", "Resident memory", exact(process.resident_bytes))?;
    gauge(encoder, "process_virtual_memory_bytes", "Virtual memory", exact(process.virtual_bytes))?;
    gauge(encoder, "process_open_fds", "Open file descriptors", exact(process.open_files))?;
    gauge(encoder, "process_max_fds", "The most open file descriptors", exact(process.most_files))?;
    gauge(encoder, "process_threads", "Threads", exact(process.threads))?;
    gauge(encoder, "process_start_time_seconds", "When the process started, in Unix time", process.started_at)
}

fn histograms<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: &[(L, &Histogram)],
    bounds: &Bounds,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
    series.iter().try_for_each(|(labels, histogram)| histogram.encode(&mut family, labels, bounds))
}

fn totals<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    counts: impl Iterator<Item = (L, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in counts {
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: &[(L, f64)],
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    values.iter().try_for_each(|(labels, value)| ConstGauge::new(*value).encode(family.encode_family(labels)?))
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

#[expect(clippy::cast_precision_loss, reason = "levels of this size are exact")]
fn exact(number: u64) -> f64 {
    number as f64
}

fn whole(number: i64) -> f64 {
    exact(u64::try_from(number).unwrap_or_default())
}
