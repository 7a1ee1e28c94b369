//! How much the gateway is used: exchanges of a minute and of an hour, added up by what they have in common.
//!
//! Nobody's single call is kept. Several replicas add to the same rows.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Result;
use crate::clock::Timestamp;

/// What exchanges that are added up have in common; what is not known is empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct UsageKey {
    /// The route.
    pub operation_id: String,
    /// The method of MCP.
    pub method: String,
    /// The tool, prompt or resource.
    pub capability: String,
    /// The person.
    pub subject: String,
    /// The client.
    pub client_id: String,
    /// How it ended.
    pub outcome: String,
    /// Whose fault it was.
    pub origin: String,
    /// Why.
    pub reason: String,
}

/// Durations counted in the buckets of [`GATEWAY_BOUNDS`] or [`UPSTREAM_BOUNDS`].
pub type Buckets = [i64; 12];

/// The upper bounds of the buckets for the gateway's part, in microseconds; the last bucket has none.
pub const GATEWAY_BOUNDS: [u64; 11] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000];
/// The upper bounds of the buckets for the upstream's part, in microseconds; the last bucket has none.
pub const UPSTREAM_BOUNDS: [u64; 11] =
    [5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 15_000_000];

/// Exchanges of one minute that have a key in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// What they have in common.
    #[serde(flatten)]
    pub key: UsageKey,
    /// How many.
    pub calls: i64,
    /// The gateway's part of those that were relayed.
    pub gateway: Buckets,
    /// The upstream's part.
    pub upstream: Buckets,
}

/// What exchanges are looked at by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// The minute or hour, in milliseconds since 1970.
    Time,
    /// The route.
    Route,
    /// The method of MCP.
    Method,
    /// The tool, prompt or resource.
    Capability,
    /// The person.
    User,
    /// The client.
    Client,
    /// How it ended.
    Outcome,
    /// Whose fault it was.
    Origin,
    /// Why it failed.
    Reason,
}

/// What is asked about the usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageQuery {
    /// From this moment.
    pub from: Timestamp,
    /// To this one, which is not included.
    pub until: Timestamp,
    /// Only exchanges with these values, of dimensions other than time.
    pub only: Vec<(Dimension, String)>,
    /// Added up by this.
    pub by: Dimension,
    /// At most so many sums, those of the most calls.
    pub limit: usize,
}

/// Exchanges that have a value in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// The value.
    pub value: String,
    /// How many.
    pub calls: i64,
    /// Those that failed by a fault of the gateway or of the upstream.
    pub failures: i64,
    /// Those that were refused.
    pub denied: i64,
    /// Those that the upstream answered with an error.
    pub errors: i64,
    /// The gateway's part.
    pub gateway: Buckets,
    /// The upstream's part.
    pub upstream: Buckets,
}

impl UsageSum {
    /// Reads a sum by the names of its columns.
    pub(super) fn read(value: String, number: impl Fn(&'static str) -> Result<i64>) -> Result<Self> {
        const GATEWAY: [&str; 12] = ["g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9", "g10", "g11"];
        const UPSTREAM: [&str; 12] = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "u9", "u10", "u11"];
        let buckets = |names: [&'static str; 12]| -> Result<Buckets> {
            let mut buckets = Buckets::default();
            for (bucket, name) in buckets.iter_mut().zip(names) {
                *bucket = number(name)?;
            }
            Ok(buckets)
        };
        Ok(Self {
            value,
            calls: number("calls")?,
            failures: number("failures")?,
            denied: number("denied")?,
            errors: number("errors")?,
            gateway: buckets(GATEWAY)?,
            upstream: buckets(UPSTREAM)?,
        })
    }
}

/// Roll-ups of what happened.
#[async_trait]
pub trait UsageRecords {
    /// Adds exchanges to the minute and the hour of `at`, in one transaction.
    async fn add_usage(&self, at: Timestamp, usage: &[Usage]) -> Result<()>;

    /// Adds up what was used.
    ///
    /// Minutes are looked at if the time asked for is no longer than [`MINUTES_ARE_KEPT_FOR`], hours otherwise.
    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageSum>>;
}

/// How long the roll-ups of minutes are kept.
pub const MINUTES_ARE_KEPT_FOR: Duration = Duration::from_hours(6);
/// How long the roll-ups of hours are kept.
pub const HOURS_ARE_KEPT_FOR: Duration = Duration::from_hours(30 * 24);

impl Dimension {
    /// The column.
    pub(super) const fn column(self) -> &'static str {
        match self {
            Self::Time => "since",
            Self::Route => "operation_id",
            Self::Method => "method",
            Self::Capability => "capability",
            Self::User => "subject",
            Self::Client => "client_id",
            Self::Outcome => "outcome",
            Self::Origin => "origin",
            Self::Reason => "reason",
        }
    }
}

impl UsageQuery {
    /// The length of the periods that are looked at, in milliseconds.
    pub(super) fn period(&self) -> i64 {
        if self.from.until(self.until) <= MINUTES_ARE_KEPT_FOR { MINUTE } else { HOUR }
    }

    /// The statement; `placeholder` writes the place of the parameter of this number.
    ///
    /// Parameters: the period, the beginning, the end, then the values of [`UsageQuery::only`].
    pub(super) fn sql(&self, placeholder: impl Fn(usize) -> String) -> String {
        let by = self.by.column();
        let buckets = |part: &str| {
            (0..12).map(|n| format!("CAST(sum({part}{n}) AS BIGINT) AS {part}{n}")).collect::<Vec<_>>().join(", ")
        };
        let condition = |(index, (dimension, _)): (usize, &(Dimension, String))| {
            format!(" AND {} = {}", dimension.column(), placeholder(index + 4))
        };
        let only = self.only.iter().enumerate().map(condition).collect::<Vec<_>>().concat();
        format!(
            "SELECT CAST({by} AS TEXT) AS value, CAST(sum(calls) AS BIGINT) AS calls,
               CAST(sum(CASE WHEN outcome IN ('failure', 'partial') THEN calls ELSE 0 END) AS BIGINT) AS failures,
               CAST(sum(CASE WHEN outcome = 'denied' THEN calls ELSE 0 END) AS BIGINT) AS denied,
               CAST(sum(CASE WHEN outcome = 'application_error' THEN calls ELSE 0 END) AS BIGINT) AS errors,
               {}, {}
             FROM usage_rollups
             WHERE period = {} AND since >= {} AND since < {}{only}
             GROUP BY {by} ORDER BY sum(calls) DESC, {by} LIMIT {}",
            buckets("g"),
            buckets("u"),
            placeholder(1),
            placeholder(2),
            placeholder(3),
            self.limit
        )
    }
}

/// The beginnings of the minute and of the hour of a moment, each with its length, in milliseconds.
pub(super) fn periods(at: Timestamp) -> [(i64, i64); 2] {
    [MINUTE, HOUR].map(|period| (period, at.as_millis().div_euclid(period) * period))
}

/// The periods with the moments before which they are forgotten, in milliseconds.
pub(super) fn forgotten_before(now: Timestamp) -> [(i64, i64); 2] {
    [(MINUTE, now.minus(MINUTES_ARE_KEPT_FOR).as_millis()), (HOUR, now.minus(HOURS_ARE_KEPT_FOR).as_millis())]
}

/// The columns of the buckets with their values out of the JSON row `r`, as `json` reads the n-th one of a part.
pub(super) fn bucket_columns(json: impl Fn(&str, usize) -> String) -> (String, String, String) {
    let parts = [("g", "gateway"), ("u", "upstream")];
    let all = || parts.iter().flat_map(|(short, long)| (0..12).map(move |n| (*short, *long, n)));
    let names: Vec<_> = all().map(|(short, _, n)| format!("{short}{n}")).collect();
    let values: Vec<_> = all().map(|(_, long, n)| json(long, n)).collect();
    let adds: Vec<_> = names.iter().map(|name| format!("{name} = usage_rollups.{name} + excluded.{name}")).collect();
    (names.join(", "), values.join(", "), adds.join(", "))
}

/// A minute, in milliseconds.
const MINUTE: i64 = 60_000;
/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;
