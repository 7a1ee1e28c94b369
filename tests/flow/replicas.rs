//! Two gateways on one store, in front of an upstream that revokes a connection when a refresh token comes twice.

use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    connect::World,
    support::{Client, TestGateway, Tokens},
};

/// A second replica of `first`: the same store, keys and routes, at another port.
async fn replica(first: &TestGateway) -> TestGateway {
    let mut document = first.document.clone();
    document.as_object_mut().unwrap().remove("server");
    TestGateway::with(document).await
}

/// A call at `gateway`, which a dumb proxy in front of all replicas passed on with the Host that the client named.
pub async fn call_at(gateway: &TestGateway, client: &Client, access: &str) -> (StatusCode, Value) {
    let host = client.origin.strip_prefix("http://").unwrap();
    let response = client
        .http
        .post(gateway.url("/mcp/one"))
        .header(header::HOST, host)
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header(header::ACCEPT, "application/json, text/event-stream")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}))
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap())
}

fn refreshes(upstream: &TestGateway) -> i64 {
    let database = upstream.database();
    let rotated = "SELECT count(*) FROM refresh_tokens WHERE rotated_at IS NOT NULL";
    database.query_row(rotated, [], |row| row.get(0)).unwrap()
}

/// At most one refresh per expiry, whoever asks wherever, and nobody is asked to connect again.
#[tokio::test]
async fn thirty_two_calls_at_two_replicas_refresh_once_and_lose_nothing() {
    let world = World::start_strict().await;
    let second = replica(&world.gateway).await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    for round in 1..=3 {
        world.upstream.clock.advance(Duration::from_secs(16 * 60));
        let calls = (0..32).map(|number| {
            let gateway = if number % 2 == 0 { &world.gateway } else { &second };
            call_at(gateway, &client, &tokens.access)
        });
        for (status, answer) in futures_util::future::join_all(calls).await {
            assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({})), "round {round}: {answer}");
        }
        assert_eq!(refreshes(&world.upstream), round);
    }
}

async fn within_ten_seconds(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "not within ten seconds");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ahead of the end as well as after it.
#[tokio::test]
async fn replicas_that_see_the_end_coming_refresh_once() {
    let world = World::start_strict().await;
    let second = replica(&world.gateway).await;
    let client = Client::register(&world.gateway).await;
    let mut tokens = world.log_in(&client, "ada").await;
    for round in 1..=3 {
        for clock in [&world.upstream.clock, &world.gateway.clock, &second.clock] {
            clock.advance(Duration::from_secs(15 * 60 - 30));
        }
        tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
        let calls = (0..32).map(|number| {
            let gateway = if number % 2 == 0 { &world.gateway } else { &second };
            call_at(gateway, &client, &tokens.access)
        });
        for (status, answer) in futures_util::future::join_all(calls).await {
            assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({})), "round {round}: {answer}");
        }
        // Nobody waits for it while the token is good.
        within_ten_seconds(|| refreshes(&world.upstream) >= round).await;
        assert_eq!(refreshes(&world.upstream), round);
    }
}

/// A lease such as a replica leaves that was killed while it refreshed ada's connection.
pub fn leave_a_lease(gateway: &TestGateway) {
    let subject: String = gateway.database().query_row("SELECT subject FROM grants", [], |row| row.get(0)).unwrap();
    let until = gateway.clock.now().plus(Duration::from_secs(30)).as_millis();
    gateway
        .database()
        .execute(
            "INSERT INTO leases (name, holder, expires_at) VALUES (?1, 'dead', ?2)",
            (format!("refresh/{subject}/linear"), until),
        )
        .unwrap();
}

/// The clock ran ten hours ahead when the process was killed.
#[tokio::test]
async fn a_lease_of_a_dead_replica_ends_when_the_clock_is_set_back() {
    let world = World::start_strict().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    leave_a_lease(&world.gateway);
    world.upstream.clock.advance(Duration::from_secs(16 * 60));
    world.gateway.clock.set_back(Duration::from_hours(10));
    let (status, answer) = call_at(&world.gateway, &client, &tokens.access).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({})));
}

/// The lease of a replica that died runs out, and the connection is still there.
#[tokio::test]
async fn a_lease_of_a_dead_replica_holds_nobody_up_for_longer_than_it_lasts() {
    let world = World::start_strict().await;
    let client = Client::register(&world.gateway).await;
    let tokens = world.log_in(&client, "ada").await;
    leave_a_lease(&world.gateway);
    world.upstream.clock.advance(Duration::from_secs(16 * 60));
    world.gateway.clock.advance(Duration::from_secs(31));
    let (status, answer) = call_at(&world.gateway, &client, &tokens.access).await;
    assert_eq!((status, &answer["result"]), (StatusCode::OK, &json!({})));
}
