//! Brings the schema up to date.

use deadpool_postgres::Pool;

use super::statement::{connection, failure};
use crate::store::{Error, Result};

/// The migrations in their order; the first has number 1. Append only: a released one never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_outer_door.sql"),
    include_str!("migrations/0002_inner_door.sql"),
    include_str!("migrations/0003_upstream_keys.sql"),
    include_str!("migrations/0004_announcements.sql"),
    include_str!("migrations/0005_proven_clients.sql"),
    include_str!("migrations/0006_usage.sql"),
    include_str!("migrations/0007_tool_pins.sql"),
];

/// Applies what is missing, all or nothing, under a lock, so that of many openers one does the work.
pub(super) async fn migrate(pool: &Pool) -> Result<()> {
    let mut connection = connection(pool).await?;
    let transaction = connection.transaction().await.map_err(failure)?;
    transaction.batch_execute(LOCK).await.map_err(failure)?;
    let found: i64 = transaction
        .query_one("SELECT coalesce(max(version), 0) FROM schema_version", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failure)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for (version, migration) in (1_i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.batch_execute(migration).await.map_err(failure)?;
        let note = "INSERT INTO schema_version (version) VALUES ($1)";
        transaction.execute(note, &[&version]).await.map_err(failure)?;
    }
    transaction.commit().await.map_err(failure)
}

/// A migration may take as long as it takes; another process is waited for, but not for ever.
const LOCK: &str = "
SET LOCAL statement_timeout = 0;
SET LOCAL lock_timeout = '60s';
SELECT pg_advisory_xact_lock(8315178199472992377);
CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY);
";
