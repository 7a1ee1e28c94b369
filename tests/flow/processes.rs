//! Gateways in processes of their own, on one PostgreSQL, in front of an upstream whose tokens live for two seconds.
//!
//! `SALLYPORT_PROOF_SECONDS=300 cargo test --test flow processes` is the long form of the first test.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};

use crate::{
    client_documents::{configuration, leave, signed_in},
    postgres::TestDatabase,
    support::{Client, Protected, TestGateway, Tokens},
};

pub fn on_postgres(upstream: &Protected, database: &TestDatabase) -> Value {
    let mut document = configuration(upstream, json!({}));
    document["store"] = json!({"url": database.url()});
    document["encryption"] = json!({"keys": [{"id": "k1", "key": STANDARD.encode([7; 32])}]});
    document
}

pub async fn connect(gateway: &TestGateway, upstream: &Protected) {
    let mut browser = signed_in(gateway).await;
    let leaving = leave(gateway, &mut browser).await;
    let back = upstream.allow(leaving.leaves_to.as_deref().expect("to the upstream"), "ada");
    assert_eq!(browser.open(&back).await.status, StatusCode::OK);
}

/// A tool call at `gateway` with a token of the gateway at `origin`; it must be answered within 40 seconds.
async fn call(http: &reqwest::Client, gateway: &str, origin: &str, access: &str) -> (StatusCode, Value) {
    let response = http
        .post(format!("{gateway}/mcp/one"))
        .header(header::HOST, origin.strip_prefix("http://").unwrap())
        .header(header::AUTHORIZATION, format!("Bearer {access}"))
        .header(header::ACCEPT, "application/json, text/event-stream")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}))
        .timeout(Duration::from_secs(40))
        .send()
        .await
        .unwrap();
    (response.status(), response.json().await.unwrap_or(Value::Null))
}

/// No lost connection, nobody is asked to connect again, at most one refresh for each expiry.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thirty_two_callers_at_two_processes_lose_nothing_and_refresh_once_for_each_expiry() {
    let seconds = std::env::var("SALLYPORT_PROOF_SECONDS").ok().map_or(8, |seconds| seconds.parse().unwrap());
    let upstream = Protected::start(Duration::from_secs(2)).await;
    let database = TestDatabase::create().await;
    let (first, log) = TestGateway::with_log(on_postgres(&upstream, &database)).await;
    let (second, other_log) = TestGateway::with_log(on_postgres(&upstream, &database)).await;
    connect(&first, &upstream).await;
    let client = Client::register(&first).await;
    let tokens = client.log_in("/mcp/one", "ada").await;

    let (begun, calls) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let callers = (0..32).map(|number| {
        let gateway = if number % 2 == 0 { first.origin.clone() } else { second.origin.clone() };
        let (origin, access, calls) = (first.origin.clone(), tokens.access.clone(), Arc::clone(&calls));
        tokio::spawn(async move {
            let http = reqwest::Client::new();
            while begun.elapsed() < Duration::from_secs(seconds) {
                let (status, answer) = call(&http, &gateway, &origin, &access).await;
                assert_eq!((status, &answer["result"]["person"]), (StatusCode::OK, &json!("ada")), "{answer}");
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    });
    for caller in futures_util::future::join_all(callers).await {
        caller.unwrap();
    }
    let elapsed = begun.elapsed();
    let (refreshes, replays) = {
        let state = upstream.state();
        (state.refreshes, state.replays)
    };
    // A token is replaced when a tenth of its two seconds is left, or later.
    let most = elapsed.as_millis() / 1800 + 1;
    println!(
        "{} calls in {elapsed:?}: {refreshes} refreshes, at most {most}; {replays} replays",
        calls.load(Ordering::Relaxed)
    );
    assert_eq!(replays, 0);
    assert!(u128::from(refreshes) <= most && refreshes > 0, "{refreshes} of at most {most}");

    let dump = dump(&database).await;
    // How all tokens of the upstream begin.
    for secret in ["upstream-access-", "upstream-refresh-", &tokens.access, &tokens.refresh] {
        assert!(!dump.contains(secret), "a secret in the database");
        for line in log.all().iter().chain(&other_log.all()) {
            assert!(!line.contains(secret), "a secret in a log: {line}");
        }
    }
}

pub async fn dump(database: &TestDatabase) -> String {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()";
    let mut dump = String::new();
    for table in client.query(tables, &[]).await.unwrap() {
        let table: String = table.get(0);
        let rows = format!("SELECT coalesce(string_agg(row::text, ' '), '') FROM {table} AS row");
        dump.push_str(&client.query_one(&rows, &[]).await.unwrap().get::<_, String>(0));
        // Sealed values are shown in hexadecimal, where a text would not be found.
        let bytes = "SELECT column_name FROM information_schema.columns
                     WHERE table_schema = current_schema() AND table_name = $1 AND data_type = 'bytea'";
        for column in client.query(bytes, &[&table]).await.unwrap() {
            let column: String = column.get(0);
            let values = format!("SELECT coalesce(string_agg(encode({column}, 'escape'), ' '), '') FROM {table}");
            dump.push_str(&client.query_one(&values, &[]).await.unwrap().get::<_, String>(0));
        }
    }
    dump
}

/// Where the gateway is killed, and whether the connection must have survived.
struct Step {
    name: &'static str,
    pauses: (Duration, Duration),
    survives: Option<bool>,
}

/// Afterwards the person is connected or is asked once, and nothing hangs.
#[tokio::test]
async fn a_gateway_that_is_killed_during_a_refresh_costs_at_most_one_reconnect() {
    const LONG: Duration = Duration::from_secs(3);
    let steps = [
        Step { name: "before the upstream looked", pauses: (LONG, Duration::ZERO), survives: Some(true) },
        Step { name: "after it rotated", pauses: (Duration::ZERO, LONG), survives: Some(false) },
        Step { name: "while the answer was on its way", pauses: (Duration::ZERO, Duration::ZERO), survives: None },
    ];
    futures_util::future::join_all(steps.into_iter().map(kill_and_go_on)).await;
}

async fn kill_and_go_on(Step { name, pauses, survives }: Step) {
    let upstream = Protected::start(Duration::from_secs(2)).await;
    let database = TestDatabase::create().await;
    let (mut gateway, _log) = TestGateway::with_log(on_postgres(&upstream, &database)).await;
    connect(&gateway, &upstream).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    upstream.state().pauses = pauses;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let before = upstream.state().token_requests.len();
    let (http, origin) = (reqwest::Client::new(), gateway.origin.clone());
    let access = tokens.access.clone();
    let dying = tokio::spawn(async move {
        let request = http.post(format!("{origin}/mcp/one")).header(header::AUTHORIZATION, format!("Bearer {access}"));
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}});
        request.header(header::ACCEPT, "application/json, text/event-stream").json(&body).send().await.is_ok()
    });
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let reached = if pauses.0.is_zero() {
            upstream.state().token_requests.len() > before
        } else {
            upstream.state().under_way > 0
        };
        if reached {
            break;
        }
        assert!(Instant::now() < deadline, "{name}: no refresh began");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    gateway.stop();
    dying.await.unwrap();
    upstream.state().pauses = (Duration::ZERO, Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(3100)).await;

    gateway.restart_process();
    let http = reqwest::Client::new();
    let held = Instant::now();
    let mut answer;
    loop {
        let status;
        (status, answer) = call(&http, &gateway.origin, &gateway.origin, &tokens.access).await;
        if status == StatusCode::OK {
            break;
        }
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{name}: {answer}");
        assert!(held.elapsed() < Duration::from_secs(35), "{name}: the lease of the dead holds for too long");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let connected = answer["result"]["person"] == "ada";
    assert!(connected || answer["error"]["data"]["state"] == "reconsent_required", "{name}: {answer}");
    assert!(survives.is_none_or(|survives| survives == connected), "{name}: {answer}");
    if !connected {
        connect(&gateway, &upstream).await;
    }
    let tokens: Tokens = client.log_in("/mcp/one", "ada").await;
    for _ in 0..3 {
        let (status, answer) = call(&http, &gateway.origin, &gateway.origin, &tokens.access).await;
        assert_eq!((status, &answer["result"]["person"]), (StatusCode::OK, &json!("ada")), "{name}: asked once only");
    }
}
