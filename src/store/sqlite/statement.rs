//! Running one prepared statement, and what SQLite's errors mean to the caller.

use std::sync::Arc;

use rusqlite::{Connection, ErrorCode, Params, Row, types::FromSql};

use crate::store::{Error, Result};

/// Runs a statement and says how many rows it changed.
pub(super) fn execute(connection: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(failure)
}

/// The first row of a query or of a `RETURNING` clause.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    let mut rows = statement.query(params).map_err(failure)?;
    rows.next().map_err(failure)?.map(read).transpose()
}

/// All rows of a query.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    let mut rows = statement.query(params).map_err(failure)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next().map_err(failure)? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// The value of a named column.
pub(super) fn column<T: FromSql>(row: &Row<'_>, name: &'static str) -> Result<T> {
    row.get(name).map_err(|source| Error::Corrupt { what: name, source: Some(source.into()) })
}

/// Sorts an error by what the caller can do about it.
pub(super) fn failure(source: rusqlite::Error) -> Error {
    shared_failure(&Arc::new(source))
}

/// The same for an error that several callers are told.
pub(super) fn shared_failure(source: &Arc<rusqlite::Error>) -> Error {
    let source = Arc::clone(source);
    match source.sqlite_error_code() {
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::ReadOnly
            | ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::OutOfMemory
            | ErrorCode::OperationAborted,
        ) => Error::Unavailable(Box::new(source)),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Error::Corrupt { what: "the database file", source: Some(Box::new(source)) }
        }
        _ => Error::Failed(Box::new(source)),
    }
}
