//! The store in PostgreSQL, for more than one replica.
//!
//! Every operation is one statement and so one round trip, one transaction, and whole even if its caller goes away.
//! The statements are written for `read committed`: a statement that waited for a row lock looks at the row again.
//! What is decided together is locked together, in the order code or token, then grant.

mod assertions;
mod cleanup;
mod clients;
mod connect;
mod connections;
mod consents;
mod grants;
mod hear;
mod interactions;
mod keys;
mod migrate;
mod sessions;
mod statement;
mod tls;
mod tokens;
mod tools;
mod usage;
mod values;

#[cfg(test)]
mod outages;

use async_trait::async_trait;
use deadpool_postgres::Pool as ConnectionPool;

pub use self::connect::ConnectError;
use super::{Changes, Pool, Result, Store};
use crate::{clock::Timestamp, crypto::Secret};

/// A store in a PostgreSQL database.
pub struct PostgresStore {
    pool: ConnectionPool,
    line: hear::Line,
}

/// How the store uses the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Connections at most; connections are made when they are needed.
    pub max_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_connections: 16 }
    }
}

impl PostgresStore {
    /// A store at a `postgres://` URL. Nothing is connected yet: a server that is down makes operations
    /// [`Unavailable`](super::Error::Unavailable), for as long as it is down.
    ///
    /// `sslmode` and `sslrootcert` mean what they mean to libpq, except that `verify-ca` and `verify-full` without
    /// `sslrootcert` trust the certificate authorities of the operating system.
    ///
    /// # Errors
    /// If the URL cannot be read or the certificates it names cannot be loaded.
    pub fn connect(url: &Secret, settings: &Settings) -> std::result::Result<Self, ConnectError> {
        connect::open(url, settings).map(|(pool, line)| Self { pool, line })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<()> {
        migrate::migrate(&self.pool).await
    }

    async fn ping(&self) -> Result<()> {
        statement::execute(&self.pool, "SELECT 1", &[]).await.map(drop)
    }

    fn pool(&self) -> Option<Pool> {
        let status = self.pool.status();
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Some(Pool {
            idle: number(status.available),
            used: number(status.size.saturating_sub(status.available)),
            max: number(status.max_size),
            waiting: number(status.waiting),
        })
    }

    async fn hear(&self, changes: &Changes) -> Result<()> {
        self.line.hear(changes).await
    }

    async fn remove_expired(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64> {
        self.remove_expired_rows(now, unused_since).await
    }
}
