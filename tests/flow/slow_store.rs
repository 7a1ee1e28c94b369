//! A store that stalls while a connection is refreshed: the refresh token is not spent, since the lease might be over
//! before the new one is kept.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::json;
use tokio_postgres::{Client as Database, NoTls};

use crate::{
    connect::call,
    postgres::TestDatabase,
    processes::{connect, on_postgres},
    support::{Client, Protected, TestGateway, Tokens},
};

/// A session of its own, in which locks can be held.
pub async fn session(database: &TestDatabase) -> Database {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub async fn hold(session: &Database, table: &str) {
    session.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.unwrap();
}

/// How many wait for a lock of `table`.
pub async fn awaited(session: &Database, table: &str) -> i64 {
    let waiting = format!("SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted");
    session.query_one(&waiting, &[]).await.unwrap().get(0)
}

/// Waits until somebody waits for a lock of `table`, or `over` says that nobody will.
async fn until_awaited(session: &Database, table: &str, over: &Cell<bool>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !over.get() && awaited(session, table).await == 0 {
        assert!(Instant::now() < deadline, "nobody asks for {table}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct World {
    upstream: Protected,
    database: TestDatabase,
    gateway: TestGateway,
    client: Client,
    tokens: Tokens,
}

impl World {
    /// A connection whose access token has ended, and what it takes to call through it.
    async fn start() -> Self {
        let upstream = Protected::start(Duration::from_hours(1)).await;
        let database = TestDatabase::create().await;
        let gateway = TestGateway::with(on_postgres(&upstream, &database)).await;
        connect(&gateway, &upstream).await;
        gateway.clock.advance(Duration::from_hours(2));
        upstream.end_access_tokens();
        let client = Client::register(&gateway).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        Self { upstream, database, gateway, client, tokens }
    }

    fn token_requests(&self) -> usize {
        self.upstream.state().token_requests.len()
    }

    /// The call of the stall is to be repeated, nothing was spent, and the next one works.
    async fn expect_harmless(&self, stalled: reqwest::Response, before: usize) {
        assert_eq!(stalled.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(stalled.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(self.token_requests(), before, "a refresh token was spent");
        let answer = call(&self.client, &self.tokens.access).await;
        assert_eq!(answer["result"]["person"], json!("ada"), "{answer} at {}", self.gateway.origin);
        let state = self.upstream.state();
        assert_eq!((state.refreshes, state.replays), (1, 0));
    }
}

#[tokio::test]
async fn a_lease_that_cannot_be_had_costs_a_retryable_error() {
    let world = World::start().await;
    let (before, locks) = (world.token_requests(), session(&world.database).await);
    hold(&locks, "leases").await;
    let stalled = world.client.call("/mcp/one", &world.tokens.access).await;
    locks.batch_execute("ROLLBACK").await.unwrap();
    world.expect_harmless(stalled, before).await;
}

/// Each answer comes in time by itself, and together they take most of the lease.
#[tokio::test]
async fn a_lease_that_is_half_over_before_anything_is_spent_is_given_back() {
    let world = World::start().await;
    let before = world.token_requests();
    let (leases, connections, watcher) =
        (session(&world.database).await, session(&world.database).await, session(&world.database).await);
    hold(&leases, "leases").await;
    // On a busy machine one of the statements may take too long by itself, which comes to the same.
    let over = Cell::new(false);
    let stalled = async {
        let answer = world.client.call("/mcp/one", &world.tokens.access).await;
        over.set(true);
        answer
    };
    let stall = async {
        until_awaited(&watcher, "leases", &over).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        hold(&connections, "connections").await;
        leases.batch_execute("ROLLBACK").await.unwrap();
        until_awaited(&watcher, "connections", &over).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        connections.batch_execute("ROLLBACK").await.unwrap();
    };
    let (stalled, ()) = tokio::join!(stalled, stall);
    world.expect_harmless(stalled, before).await;
}
