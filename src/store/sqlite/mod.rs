//! The embedded store: one SQLite file in WAL mode, the default.
//!
//! One thread writes and commits what waits together; a few read. Several processes may share the file, so the
//! conditions stand in the statements and never in memory.

mod assertions;
mod cleanup;
mod clients;
mod connections;
mod consents;
mod file;
mod grants;
mod interactions;
mod keys;
mod migrate;
mod readers;
mod sessions;
mod statement;
mod tokens;
mod tools;
mod usage;
mod values;
mod writer;

#[cfg(test)]
mod outages;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::Connection;

pub use self::file::FileError;
use self::{readers::Readers, writer::Writer};
use super::{Changes, Result, Store};
use crate::clock::Timestamp;

/// A store in one SQLite file.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the file, making it (0600) and its directory (0700) where they are missing.
    ///
    /// Blocks for as long as the file system takes; meant for the start of the program. The schema is not touched:
    /// see [`Store::migrate`].
    ///
    /// # Errors
    /// [`Unavailable`](super::Error::Unavailable) if the path cannot be used, with a [`FileError`] as the cause;
    /// [`Corrupt`](super::Error::Corrupt) if the file is not a database.
    pub fn open(path: &Path) -> Result<Self> {
        file::create(path)?;
        let writer = file::writing(path)?;
        let readers = (0..READERS).map(|_| file::reading(path)).collect::<Result<_>>()?;
        Ok(Self {
            writer: Writer::start(writer).map_err(FileError::Threads)?,
            readers: Readers::start(readers).map_err(FileError::Threads)?,
        })
    }

    async fn write<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.writer.run(operation).await
    }

    async fn read<T, F>(&self, query: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.readers.run(query).await
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<()> {
        self.write(migrate::migrate).await
    }

    async fn ping(&self) -> Result<()> {
        self.read(|connection| statement::first(connection, "SELECT 1 FROM sqlite_schema", [], |_| Ok(()))).await?;
        Ok(())
    }

    async fn hear(&self, _changes: &Changes) -> Result<()> {
        std::future::pending().await
    }

    async fn remove_expired(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64> {
        self.remove_expired_rows(now, unused_since).await
    }
}

const READERS: usize = 4;
