//! The database file: where it is, who may read it, and how its connections are set up.

use std::{
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use super::statement::failure;
use crate::store::{self, Result};

/// Why the file could not be opened; the cause says it in the words of the system.
#[derive(Debug, Error)]
pub enum FileError {
    /// The directory cannot be made.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be opened for writing.
    #[error("cannot open {} for reading and writing", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The threads cannot be started.
    #[error("cannot start the database threads")]
    Threads(#[source] io::Error),
}

impl From<FileError> for store::Error {
    fn from(error: FileError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Makes the file (0600) and its directory (0700) where they are missing; what exists keeps its mode.
///
/// SQLite gives the files beside it (`-wal`, `-shm`) the mode of the database.
pub(super) fn create(path: &Path) -> std::result::Result<(), FileError> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| FileError::Directory { path: directory.to_owned(), source })?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| FileError::Open { path: path.to_owned(), source })
}

/// A connection that may write.
pub(super) fn writing(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    enter_wal(&connection)?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;").map_err(failure)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reading(path: &Path) -> Result<Connection> {
    let connection = connect(path)?;
    connection.execute_batch("PRAGMA query_only = ON;").map_err(failure)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failure)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failure)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Turns WAL on. SQLite does not wait for another process that does the same, so this does.
fn enter_wal(connection: &Connection) -> Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.execute_batch("PRAGMA journal_mode = WAL;") {
            Err(busy) if busy.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome.map_err(failure),
        }
    }
}

/// How long a connection waits for another process to finish writing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// More than there are statements.
const STATEMENTS: usize = 64;
