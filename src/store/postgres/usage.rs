//! Roll-ups of the usage in PostgreSQL.

use std::sync::LazyLock;

use async_trait::async_trait;
use tokio_postgres::{Row, types::ToSql};

use super::{
    PostgresStore,
    statement::{all, column, execute},
    values::Json,
};
use crate::{
    clock::Timestamp,
    store::{
        Result,
        usage::{Usage, UsageQuery, UsageRecords, UsageSum, bucket_columns, periods},
    },
};

#[async_trait]
impl UsageRecords for PostgresStore {
    async fn add_usage(&self, at: Timestamp, usage: &[Usage]) -> Result<()> {
        let [(minute, minute_since), (hour, hour_since)] = periods(at);
        let params: [&(dyn ToSql + Sync); 5] = [&minute, &minute_since, &hour, &hour_since, &Json(usage)];
        execute(&self.pool, &ADD, &params).await.map(drop)
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageSum>> {
        let (period, from, until) = (query.period(), query.from.as_millis(), query.until.as_millis());
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&period, &from, &until];
        params.extend(query.only.iter().map(|(_, value)| value as &(dyn ToSql + Sync)));
        all(&self.pool, &query.sql(|number| format!("${number}")), &params, sum).await
    }
}

fn sum(row: &Row) -> Result<UsageSum> {
    UsageSum::read(column(row, "value")?, |name| column(row, name))
}

/// Rows come as one JSON array and are taken in one order, so that two replicas cannot wait for each other in a circle.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let (names, values, adds) = bucket_columns(|part, n| format!("(r -> '{part}' ->> {n})::bigint"));
    let keys = ["operation_id", "method", "capability", "subject", "client_id", "outcome", "origin", "reason"];
    let key = keys.join(", ");
    let key_values: Vec<_> = keys.iter().map(|key| format!("r ->> '{key}'")).collect();
    format!(
        "INSERT INTO usage_rollups (period, since, {key}, calls, {names})
         SELECT p.period, p.since, {}, (r ->> 'calls')::bigint, {values}
         FROM json_array_elements($5::text::json) r,
              (VALUES ($1::bigint, $2::bigint), ($3::bigint, $4::bigint)) p (period, since)
         ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
         ON CONFLICT (period, since, {key}) DO UPDATE SET calls = usage_rollups.calls + excluded.calls, {adds}",
        key_values.join(", ")
    )
});
