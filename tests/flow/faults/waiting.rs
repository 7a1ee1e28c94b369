//! Who waits: for a database that stalls, for a file that is locked, and for a clock that is ten years ahead.

use std::{
    thread,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::json;

use super::is_told_to_come_back;
use crate::{
    leaving::SOON,
    postgres::TestDatabase,
    slow_store::{awaited, hold, session},
    support::{Browser, Client, TestGateway, Tokens},
};

/// More than there are connections; each is told within the deadlines of a statement and of the pool, and whoever needs no
/// database does not notice.
#[tokio::test]
async fn a_database_that_stalls_lets_nobody_wait_for_long() {
    let database = TestDatabase::create().await;
    let (gateway, _log) = TestGateway::with_log(super::on(&database.url())).await;
    let mut people = Vec::new();
    for _ in 0..24 {
        let client = Client::register(&gateway).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        people.push((client, tokens));
    }
    let (warm, tokens) = &people[0];
    assert_eq!(warm.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let locks = session(&database).await;
    hold(&locks, "refresh_tokens").await;
    let begun = Instant::now();
    let stalled = people.iter().map(|(client, tokens)| is_told_to_come_back(client, tokens));
    let call = async {
        let answer = warm.call("/mcp/one", &tokens.access).await;
        (answer.status(), begun.elapsed())
    };
    let (_, (status, after)) = tokio::join!(futures_util::future::join_all(stalled), call);
    assert_eq!(status, StatusCode::OK);
    assert!(after < Duration::from_secs(5), "{after:?}");
    locks.batch_execute("ROLLBACK").await.unwrap();
    for (client, tokens) in &people {
        let begun = Instant::now();
        while client.refresh(&tokens.refresh).await.status() != StatusCode::OK {
            assert!(begun.elapsed() < SOON, "it does not recover");
        }
    }
}

/// What is asked about tokens that nobody issued takes half of the store's connections, so that the others sign in.
#[tokio::test]
async fn a_flood_of_unknown_tokens_leaves_the_store_to_people_who_sign_in() {
    let database = TestDatabase::create().await;
    let (gateway, _log) = TestGateway::with_log(super::on(&database.url())).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    let (locks, watcher) = (session(&database).await, session(&database).await);
    hold(&locks, "access_tokens").await;
    let unknown: Vec<String> = (0..100).map(|number| format!("at_{number:043}")).collect();
    let begun = Instant::now();
    let flood = futures_util::future::join_all(unknown.iter().map(|token| client.call("/mcp/one", token)));
    let others = async {
        while awaited(&watcher, "access_tokens").await < LOOKUPS {
            assert!(begun.elapsed() < SOON, "the flood does not reach the store");
        }
        let newcomer = Client::register(&gateway).await;
        newcomer.authorize(&mut Browser::new(&gateway.origin), "/mcp/one", "bob").await;
        let warm = client.call("/mcp/one", &tokens.access).await.status();
        (warm, awaited(&watcher, "access_tokens").await)
    };
    let (refused, (warm, lookups)) = tokio::join!(flood, others);
    assert_eq!(warm, StatusCode::OK);
    assert!(lookups <= LOOKUPS, "{lookups} look-ups at once");
    for answer in refused {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(answer.headers().contains_key(header::RETRY_AFTER));
    }
    locks.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(client.call("/mcp/one", &unknown[0]).await.status(), StatusCode::UNAUTHORIZED);
}

/// Half of the connections to the store.
const LOOKUPS: i64 = 8;

/// As by a backup that copies the file under a lock.
#[tokio::test]
async fn a_locked_file_is_waited_for_at_start() {
    let (mut gateway, _log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.stop();
    let database = gateway.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let backup = thread::spawn(move || {
        thread::sleep(Duration::from_secs(4));
        database.execute_batch("ROLLBACK").unwrap();
    });
    let log = gateway.restart_process();
    backup.join().unwrap();
    log.await_events("mcp_store_unavailable", 1);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

/// As on a machine whose clock was wrong until somebody corrected it.
#[tokio::test]
async fn ten_years_ahead_and_back_again_people_sign_in_and_clients_go_on() {
    let ten_years = Duration::from_hours(10 * 365 * 24);
    let gateway = TestGateway::start().await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    gateway.clock.advance(ten_years);
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::BAD_REQUEST);
    for _ in 0..2 {
        let client = Client::register(&gateway).await;
        let tokens = client.log_in("/mcp/one", "ada").await;
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
        let tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
        gateway.clock.set_back(ten_years);
    }
}
