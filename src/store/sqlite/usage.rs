//! Roll-ups of the usage in SQLite.

use std::sync::LazyLock;

use async_trait::async_trait;
use rusqlite::{Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore,
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
impl UsageRecords for SqliteStore {
    async fn add_usage(&self, at: Timestamp, usage: &[Usage]) -> Result<()> {
        let usage = usage.to_vec();
        self.write(move |connection| {
            for (period, since) in periods(at) {
                execute(connection, &ADD, params![period, since, Json(&usage)])?;
            }
            Ok(())
        })
        .await
    }

    async fn usage(&self, query: &UsageQuery) -> Result<Vec<UsageSum>> {
        let query = query.clone();
        self.read(move |connection| {
            let bounds = [query.period(), query.from.as_millis(), query.until.as_millis()].map(Value::from);
            let values = query.only.iter().map(|(_, value)| Value::from(value.clone()));
            let params = params_from_iter(bounds.into_iter().chain(values));
            all(connection, &query.sql(|number| format!("?{number}")), params, sum)
        })
        .await
    }
}

fn sum(row: &Row<'_>) -> Result<UsageSum> {
    UsageSum::read(column(row, "value")?, |name| column(row, name))
}

/// Rows come as one JSON array. `WHERE true` tells the parser that `ON CONFLICT` is no join.
static ADD: LazyLock<String> = LazyLock::new(|| {
    let (names, values, adds) = bucket_columns(|part, n| format!("json_extract(r.value, '$.{part}[{n}]')"));
    let keys = ["operation_id", "method", "capability", "subject", "client_id", "outcome", "origin", "reason"];
    let key = keys.join(", ");
    let key_values: Vec<_> = keys.iter().map(|key| format!("json_extract(r.value, '$.{key}')")).collect();
    format!(
        "INSERT INTO usage_rollups (period, since, {key}, calls, {names})
         SELECT ?1, ?2, {}, json_extract(r.value, '$.calls'), {values} FROM json_each(?3) r WHERE true
         ON CONFLICT (period, since, {key}) DO UPDATE SET calls = usage_rollups.calls + excluded.calls, {adds}",
        key_values.join(", ")
    )
});
