//! A database of one test, which several stores may share and which the test may look into.

use std::sync::Arc;

use tempfile::TempDir;

use crate::store::{Store, sqlite::SqliteStore};

/// An empty database; it goes away with this.
pub enum Home {
    /// A directory with one SQLite file.
    Sqlite(TempDir),
}

impl Home {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// A store whose schema is not there yet.
    pub fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(directory) => Arc::new(SqliteStore::open(&directory.path().join("sallyport.db")).unwrap()),
        }
    }

    /// A store that is ready.
    pub async fn store(&self) -> Arc<dyn Store> {
        let store = self.open();
        store.migrate().await.unwrap();
        store
    }

    /// Runs a statement behind the store's back.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => self.sqlite_connection().execute_batch(sql).unwrap(),
        }
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(_) => self.sqlite_connection().query_row(sql, [], |row| row.get(0)).unwrap(),
        }
    }

    fn sqlite_connection(&self) -> rusqlite::Connection {
        let Self::Sqlite(directory) = self;
        rusqlite::Connection::open(directory.path().join("sallyport.db")).unwrap()
    }
}
