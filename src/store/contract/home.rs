//! A database of one test, which several stores may share and which the test may look into.

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::{
    crypto::Secret,
    store::{
        Store,
        postgres::{PostgresStore, Settings},
        sqlite::SqliteStore,
        test_postgres::TestDatabase,
    },
};

/// An empty database; it goes away with this.
pub enum Home {
    /// A directory with one SQLite file.
    Sqlite(TempDir),
    /// A schema of the test server.
    Postgres(TestDatabase),
}

impl Home {
    pub fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    pub async fn postgres() -> Self {
        Self::Postgres(TestDatabase::create().await)
    }

    /// A store whose schema is not there yet.
    pub fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(directory) => Arc::new(SqliteStore::open(&directory.path().join("sallyport.db")).unwrap()),
            Self::Postgres(database) => {
                Arc::new(PostgresStore::connect(&Secret::new(database.url()), &Settings::default()).unwrap())
            }
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
            Self::Sqlite(directory) => sqlite(directory).execute_batch(sql).unwrap(),
            Self::Postgres(database) => postgres(database).await.batch_execute(sql).await.unwrap(),
        }
    }

    /// The number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(directory) => sqlite(directory).query_row(sql, [], |row| row.get(0)).unwrap(),
            Self::Postgres(database) => postgres(database).await.query_one(sql, &[]).await.unwrap().get(0),
        }
    }
}

fn sqlite(directory: &TempDir) -> Connection {
    Connection::open(directory.path().join("sallyport.db")).unwrap()
}

async fn postgres(database: &TestDatabase) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}
