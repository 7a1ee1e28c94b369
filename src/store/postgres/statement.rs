//! Running one prepared statement, and what PostgreSQL's errors mean to the caller.

use std::{io, pin::pin, time::Duration};

use deadpool_postgres::{Object, Pool};
use futures_util::TryStreamExt;
use thiserror::Error;
use tokio::time::timeout;
use tokio_postgres::{
    Row,
    error::SqlState,
    types::{FromSql, ToSql},
};

use crate::store::{self, Result};

pub(super) type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Why the server did nothing.
#[derive(Debug, Error)]
enum Refused {
    /// It did not answer in time.
    #[error("the database did not answer within {} seconds", ANSWER_TIMEOUT.as_secs())]
    Silent,
    /// It answered with an error. Its detail is left out, since that quotes the row.
    #[error("{message} (SQLSTATE {code})")]
    Answer {
        /// What went wrong.
        code: String,
        /// The same in words.
        message: String,
    },
}

/// Runs a statement and says how many rows it changed.
pub(super) async fn execute(pool: &Pool, sql: &str, params: Params<'_>) -> Result<u64> {
    Ok(run(pool, sql, params).await?.changed)
}

/// The first row of a query or of a `RETURNING` clause.
pub(super) async fn first<T>(
    pool: &Pool,
    sql: &str,
    params: Params<'_>,
    read: impl FnOnce(&Row) -> Result<T>,
) -> Result<Option<T>> {
    run(pool, sql, params).await?.rows.first().map(read).transpose()
}

/// All rows of a query.
pub(super) async fn all<T>(
    pool: &Pool,
    sql: &str,
    params: Params<'_>,
    read: impl Fn(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    run(pool, sql, params).await?.rows.iter().map(read).collect()
}

/// The value of a named column.
pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, name: &'static str) -> Result<T> {
    row.try_get(name).map_err(|source| store::Error::Corrupt { what: name, source: Some(source.into()) })
}

/// A connection of the pool.
pub(super) async fn connection(pool: &Pool) -> Result<Object> {
    pool.get().await.map_err(|source| store::Error::Unavailable(Box::new(source)))
}

/// Sorts an error by what the caller can do about it.
pub(super) fn failure(source: tokio_postgres::Error) -> store::Error {
    let Some(answer) = source.as_db_error() else {
        let cause = std::error::Error::source(&source);
        let broken = source.is_closed() || matches!(cause, Some(cause) if cause.is::<io::Error>());
        return if broken {
            store::Error::Unavailable(Box::new(source))
        } else {
            store::Error::Failed(Box::new(source))
        };
    };
    let code = answer.code().code();
    let refused = Box::new(Refused::Answer { code: code.to_owned(), message: answer.message().to_owned() });
    match code.get(..2) {
        // Connection exceptions, lost conflicts, insufficient resources, operator intervention, system errors.
        Some("08" | "40" | "53" | "57" | "58") => store::Error::Unavailable(refused),
        _ if [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(answer.code()) => {
            store::Error::Unavailable(refused)
        }
        _ if [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED].contains(answer.code()) => {
            store::Error::Corrupt { what: "the database", source: Some(refused) }
        }
        _ => store::Error::Failed(refused),
    }
}

struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

/// Every statement is a transaction of its own, so one that lost a conflict has changed nothing and may run again.
async fn run(pool: &Pool, sql: &str, params: Params<'_>) -> Result<Answer> {
    let mut attempt = 1;
    loop {
        let connection = connection(pool).await?;
        match timeout(ANSWER_TIMEOUT, answer(&connection, sql, params)).await {
            Ok(Err(lost)) if attempt < ATTEMPTS && is_conflict(&lost) => attempt += 1,
            Ok(outcome) => return outcome.map_err(failure),
            Err(_elapsed) => {
                // Nobody else may get a connection that still waits for an answer.
                drop(Object::take(connection));
                return Err(store::Error::Unavailable(Box::new(Refused::Silent)));
            }
        }
    }
}

async fn answer(
    connection: &Object,
    sql: &str,
    params: Params<'_>,
) -> std::result::Result<Answer, tokio_postgres::Error> {
    let statement = connection.prepare_cached(sql).await?;
    let mut stream = pin!(connection.query_raw(&statement, params.iter().copied()).await?);
    let mut rows = Vec::new();
    while let Some(row) = stream.try_next().await? {
        rows.push(row);
    }
    Ok(Answer { rows, changed: stream.rows_affected().unwrap_or(0) })
}

fn is_conflict(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|code| [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED].contains(code))
}

/// A little longer than the server's own `statement_timeout`, for a server or a network that is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a statement runs that loses conflicts.
const ATTEMPTS: usize = 3;
