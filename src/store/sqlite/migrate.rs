//! Brings the schema up to date.

use rusqlite::{Connection, params};

use super::statement::{column, execute, failure, first};
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

/// Applies what is missing. The caller holds the write lock, so that of many openers one does the work.
pub(super) fn migrate(connection: &Connection) -> Result<()> {
    execute(connection, "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT", [])?;
    let found: i64 = first(connection, "SELECT coalesce(max(version), 0) AS version FROM schema_version", [], |row| {
        column(row, "version")
    })?
    .unwrap_or(0);
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(Error::NewerSchema { found, known });
    }
    for (version, migration) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        connection.execute_batch(migration).map_err(failure)?;
        execute(connection, "INSERT INTO schema_version (version) VALUES (?1)", params![version])?;
    }
    Ok(())
}
