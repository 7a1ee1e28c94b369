//! `/admin`: what the gateway does, for administrators.
//!
//! Everything on the page comes from the roll-ups of the store, so that it shows all replicas. What is looked at stands in
//! the query: a time, and values that are looked at alone. Every value links to the page of itself.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use time::OffsetDateTime;

use super::{
    admins::Admins,
    percentile::{self, percentile},
    tools::TOOLS,
};
use crate::{
    clock::{Clock, Timestamp},
    identity::{SignedIn, Trouble, page_response, store_trouble, trouble_page},
    oauth::{ClientId, Params},
    pages::{Admin, Bars, Choice, Figure, Filter, Health, HealthState, Lines, LocalHref, Row, Table, User, safe_text},
    store::{
        self, Buckets, Dimension, GATEWAY_BOUNDS, MINUTES_ARE_KEPT_FOR, Store, UPSTREAM_BOUNDS, UsageQuery, UsageSum,
    },
    web::{BasePath, Request, Response},
};

/// The analytics page of one gateway.
pub(super) struct Analytics {
    pub(super) base_path: BasePath,
    pub(super) admins: Admins,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
}

/// The page, below the base path.
pub(super) const ADMIN: &str = "/admin";

/// What is looked at.
#[derive(Clone)]
struct View {
    path: String,
    range: &'static Range,
    only: Vec<(Dimension, String)>,
}

/// A time up to now.
struct Range {
    name: &'static str,
    label: &'static str,
    minutes: u64,
}

impl Analytics {
    /// Answers a request to the page.
    pub(super) async fn answer(&self, request: &Request) -> Response {
        if request.method != Method::GET {
            return Response::method_not_allowed(&request.id, "GET, HEAD");
        }
        let signed_in = match self.admins.admit(request).await {
            Ok(signed_in) => signed_in,
            Err(answer) => return answer,
        };
        let Ok(params) = Params::parse(request.query.as_deref().unwrap_or_default().as_bytes()) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        let Some(view) = View::parse(self.base_path.path(ADMIN), &params) else {
            return trouble_page(request, &Trouble::MALFORMED);
        };
        match self.page(&signed_in, &view).await {
            Ok(page) => page_response(&page, StatusCode::OK),
            Err(error) => store_trouble(request, &error),
        }
    }

    async fn page(&self, signed_in: &SignedIn, view: &View) -> store::Result<Admin> {
        let now = self.clock.now();
        let query = |by, limit| view.query(now, by, limit);
        let times = self.store.usage(&query(Dimension::Time, 1000)).await?;
        let lately = UsageQuery { from: now.minus(LATELY), ..view.query(now, Dimension::Outcome, 20) };
        let lately = self.store.usage(&lately).await?;
        let tables = try_join_all(TABLES.iter().map(|(id, title, kind, by)| async move {
            let sums = self.store.usage(&query(*by, ROWS)).await?;
            let mut table = table(id, title, kind, *by, &sums, view);
            if *by == Dimension::Client {
                self.name_clients(&mut table, &sums).await?;
            }
            Ok::<_, store::Error>(table)
        }))
        .await?;
        let slowest = {
            let mut sums = self.store.usage(&query(Dimension::Capability, 500)).await?;
            sums.retain(|sum| !sum.value.is_empty() && sum.upstream.iter().sum::<i64>() > 0);
            let slowness = |sum: &UsageSum| percentile(&sum.upstream, &UPSTREAM_BOUNDS, 95).unwrap_or_default();
            sums.sort_by(|a, b| slowness(b).total_cmp(&slowness(a)));
            sums.truncate(ROWS);
            table("slowest", "Slowest capabilities", "Capability", Dimension::Capability, &sums, view)
        };
        let total = total(&times);
        let (calls, latencies) = charts(&times, view, now);
        let mut tables = tables;
        tables.insert(1, slowest);
        Ok(Admin {
            user: User { name: safe_text(signed_in.name()), email: None },
            sign_out: LocalHref::new(&self.admins.identity.sign_out_path()),
            tools: LocalHref::new(&self.base_path.path(TOOLS)),
            waiting: self.store.waiting_tools().await?,
            health: health(&lately),
            ranges: RANGES
                .iter()
                .map(|range| Choice {
                    label: range.label,
                    href: view.in_range(range).href(),
                    current: range.name == view.range.name,
                })
                .collect(),
            filters: view.filters(),
            figures: figures(&total),
            calls,
            latencies,
            tables,
        })
    }

    /// Sets beside the ids of registered clients what they call themselves.
    async fn name_clients(&self, table: &mut Table, sums: &[UsageSum]) -> store::Result<()> {
        for (row, sum) in table.rows.iter_mut().zip(sums) {
            let client = self.store.client(&ClientId::new(&sum.value)).await?;
            row.name = client.and_then(|client| client.name).map(|name| safe_text(&name));
        }
        Ok(())
    }
}

impl View {
    /// What a query asks for; nothing if it names a time that there is not, or a kind of thing twice.
    fn parse(path: String, params: &Params) -> Option<Self> {
        let range = params.get("range").ok()?.unwrap_or(RANGES[0].name);
        let range = RANGES.iter().find(|known| known.name == range)?;
        let none = params.get("none").ok()?.unwrap_or_default();
        let mut only = Vec::new();
        for (name, _, dimension) in FILTERS {
            if let Some(value) = params.get(name).ok()? {
                only.push((dimension, value.to_owned()));
            } else if none.split(',').any(|without| without == name) {
                only.push((dimension, String::new()));
            }
        }
        Some(Self { path, range, only })
    }

    fn query(&self, now: Timestamp, by: Dimension, limit: usize) -> UsageQuery {
        let length = Duration::from_mins(self.range.minutes);
        // A period that has begun is shown to its end.
        UsageQuery { from: now.minus(length), until: now.plus(MOMENT), only: self.only.clone(), by, limit }
    }

    fn in_range(&self, range: &'static Range) -> Self {
        Self { range, ..self.clone() }
    }

    /// The same view of one value alone.
    fn of(&self, dimension: Dimension, value: &str) -> Self {
        let mut only: Vec<_> = self.only.iter().filter(|(known, _)| *known != dimension).cloned().collect();
        only.push((dimension, value.to_owned()));
        Self { only, ..self.clone() }
    }

    fn href(&self) -> LocalHref {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("range", self.range.name);
        let mut none = Vec::new();
        for (dimension, value) in &self.only {
            let Some((name, _, _)) = FILTERS.iter().find(|(_, _, known)| known == dimension) else { continue };
            if value.is_empty() {
                none.push(*name);
            } else {
                query.append_pair(name, value);
            }
        }
        // A parameter without a value is like none at all, so what has none is named.
        if !none.is_empty() {
            query.append_pair("none", &none.join(","));
        }
        LocalHref::new(&format!("{}?{}", self.path, query.finish()))
    }

    fn filters(&self) -> Vec<Filter> {
        let filter = |(dimension, value): &(Dimension, String)| {
            let (_, kind, _) = FILTERS.iter().find(|(_, _, known)| known == dimension)?;
            let others = self.only.iter().filter(|(known, _)| known != dimension).cloned().collect();
            let remove = Self { only: others, ..self.clone() }.href();
            Some(Filter { kind, value: safe_text(shown(value)), remove })
        };
        self.only.iter().filter_map(filter).collect()
    }
}

fn table(
    id: &'static str,
    title: &'static str,
    kind: &'static str,
    by: Dimension,
    sums: &[UsageSum],
    view: &View,
) -> Table {
    // Requests without a capability or without a fault are no row of such a table.
    let wanted = |sum: &UsageSum| {
        !(sum.value.is_empty() && [Dimension::Capability, Dimension::Origin, Dimension::Reason].contains(&by))
    };
    let sums: Vec<_> = sums.iter().filter(|sum| wanted(sum)).collect();
    let most = sums.iter().map(|sum| sum.calls).max().unwrap_or(1).max(1);
    let row = |sum: &UsageSum| Row {
        name: None,
        href: view.of(by, &sum.value).href(),
        value: safe_text(shown(&sum.value)),
        calls: grouped(sum.calls),
        share: u32::try_from(sum.calls * 100 / most).unwrap_or(0),
        failures: some(sum.failures),
        errors: some(sum.errors),
        denied: some(sum.denied),
        gateway: latencies(&sum.gateway, &GATEWAY_BOUNDS),
        upstream: latencies(&sum.upstream, &UPSTREAM_BOUNDS),
    };
    Table { id, title, kind, rows: sums.into_iter().map(row).collect() }
}

fn total(sums: &[UsageSum]) -> UsageSum {
    let mut total = UsageSum {
        value: String::new(),
        calls: 0,
        failures: 0,
        denied: 0,
        errors: 0,
        gateway: [0; 12],
        upstream: [0; 12],
    };
    for sum in sums {
        total.calls += sum.calls;
        total.failures += sum.failures;
        total.denied += sum.denied;
        total.errors += sum.errors;
        let add = |to: &mut Buckets, from: &Buckets| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        add(&mut total.gateway, &sum.gateway);
        add(&mut total.upstream, &sum.upstream);
    }
    total
}

fn figures(total: &UsageSum) -> Vec<Figure> {
    let figure = |label, value, note| Figure { label, value, note };
    let share = |part| format!("{} of calls", percent(part, total.calls));
    vec![
        figure("Calls", grouped(total.calls), String::new()),
        figure("Failed", grouped(total.failures), share(total.failures)),
        figure("Upstream errors", grouped(total.errors), share(total.errors)),
        figure("Refused", grouped(total.denied), share(total.denied)),
        figure("Gateway, p50 / p95", latencies(&total.gateway, &GATEWAY_BOUNDS), String::new()),
        figure("Upstream, p50 / p95", latencies(&total.upstream, &UPSTREAM_BOUNDS), String::new()),
    ]
}

/// Bad is more than one failure of ours or of an upstream in a hundred calls of the last minutes.
fn health(lately: &[UsageSum]) -> Health {
    let total = total(lately);
    let minutes = LATELY.as_secs() / 60;
    let (state, text) = if total.calls == 0 {
        (HealthState::Quiet, format!("No calls in the last {minutes} minutes."))
    } else if total.failures * 100 > total.calls {
        let share = percent(total.failures, total.calls);
        let (failed, calls) = (grouped(total.failures), grouped(total.calls));
        (HealthState::Bad, format!("{failed} of {calls} calls failed in the last {minutes} minutes ({share})."))
    } else {
        let calls = grouped(total.calls);
        (HealthState::Good, format!("{calls} calls in the last {minutes} minutes, {} failed.", total.failures))
    };
    Health { state, text: safe_text(&text) }
}

fn charts(times: &[UsageSum], view: &View, now: Timestamp) -> (Bars, Lines) {
    let length = i64::try_from(view.range.minutes * 60_000).unwrap_or(i64::MAX);
    let period =
        if Duration::from_mins(view.range.minutes) + MOMENT <= MINUTES_ARE_KEPT_FOR { 60_000 } else { 3_600_000 };
    let first = (now.as_millis() - length).div_euclid(period);
    let last = now.as_millis().div_euclid(period);
    // At most so many columns, each of as many periods as it takes.
    let together = (last - first + COLUMNS) / COLUMNS;
    let count = usize::try_from((last - first) / together + 1).unwrap_or(1);
    let mut columns = vec![Vec::new(); count];
    for sum in times {
        let Ok(since) = sum.value.parse::<i64>() else { continue };
        let place = usize::try_from((since.div_euclid(period) - first) / together).unwrap_or(0);
        if let Some(column) = columns.get_mut(place) {
            column.push(sum.clone());
        }
    }
    let sums: Vec<UsageSum> = columns.iter().map(|column| total(column)).collect();
    let kinds =
        |sum: &UsageSum| [sum.calls - sum.errors - sum.denied - sum.failures, sum.errors, sum.denied, sum.failures];
    let p95 = |sum: &UsageSum| {
        [percentile(&sum.gateway, &GATEWAY_BOUNDS, 95), percentile(&sum.upstream, &UPSTREAM_BOUNDS, 95)]
    };
    let points: Vec<_> = sums.iter().map(p95).collect();
    let span = (clock_time(Timestamp::from_millis(first * period), period), clock_time(now, period));
    let (all, most) = (total(times), sums.iter().map(|sum| sum.calls).max().unwrap_or_default());
    let slowest = points.iter().flatten().flatten().copied().fold(0.0, f64::max);
    let bars = Bars {
        summary: format!("{} calls, {} failed, {} refused", grouped(all.calls), all.failures, all.denied),
        columns: sums.iter().map(kinds).collect(),
        top: grouped(most),
        span: span.clone(),
    };
    let lines = Lines {
        summary: format!("95th percentile of the upstream up to {}", percentile::shown(slowest)),
        points,
        top: percentile::shown(slowest),
        span,
    };
    (bars, lines)
}

fn latencies(buckets: &Buckets, bounds: &[u64; 11]) -> String {
    match (percentile(buckets, bounds, 50), percentile(buckets, bounds, 95)) {
        (Some(median), Some(high)) => format!("{} / {}", duration(median), duration(high)),
        _ => "–".to_owned(),
    }
}

/// A duration that no line break parts from its unit.
fn duration(micros: f64) -> String {
    percentile::shown(micros).replace(' ', "\u{a0}")
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "none" } else { value }
}

fn some(count: i64) -> String {
    if count == 0 { "–".to_owned() } else { grouped(count) }
}

/// A number with its thousands set apart.
fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn percent(part: i64, whole: i64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let tenths = part * 1000 / whole;
    if tenths == 0 && part > 0 { "< 0.1 %".to_owned() } else { format!("{}.{} %", tenths / 10, tenths % 10) }
}

/// UTC, with the date where the periods are hours.
fn clock_time(at: Timestamp, period: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at.as_seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let clock = format!("{:02}:{:02} UTC", time.hour(), time.minute());
    if period > 60_000 { format!("{}, {clock}", time.date()) } else { clock }
}

/// What the page shows first is the first.
static RANGES: [Range; 5] = [
    Range { name: "1h", label: "1 hour", minutes: 60 },
    Range { name: "5h", label: "5 hours", minutes: 300 },
    Range { name: "24h", label: "24 hours", minutes: 24 * 60 },
    Range { name: "7d", label: "7 days", minutes: 7 * 24 * 60 },
    Range { name: "30d", label: "30 days", minutes: 30 * 24 * 60 },
];

const FILTERS: [(&str, &str, Dimension); 8] = [
    ("route", "Route", Dimension::Route),
    ("method", "Method", Dimension::Method),
    ("capability", "Capability", Dimension::Capability),
    ("user", "User", Dimension::User),
    ("client", "Client", Dimension::Client),
    ("outcome", "Outcome", Dimension::Outcome),
    ("origin", "Fault of", Dimension::Origin),
    ("reason", "Reason", Dimension::Reason),
];

const TABLES: [(&str, &str, &str, Dimension); 8] = [
    ("capabilities", "Top capabilities", "Capability", Dimension::Capability),
    ("reasons", "Why calls fail or are refused", "Reason", Dimension::Reason),
    ("origins", "Whose fault it is", "Fault of", Dimension::Origin),
    ("routes", "Routes", "Route", Dimension::Route),
    ("users", "Top users", "User", Dimension::User),
    ("clients", "Clients", "Client", Dimension::Client),
    ("methods", "Methods", "Method", Dimension::Method),
    ("outcomes", "Outcomes", "Outcome", Dimension::Outcome),
];

const ROWS: usize = 10;
const COLUMNS: i64 = 120;
/// How long "now" is.
const LATELY: Duration = Duration::from_mins(5);
/// Makes a time that ends now include what is counted now.
const MOMENT: Duration = Duration::from_millis(1);
