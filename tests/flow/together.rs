//! Replicas: processes on one PostgreSQL, behind a proxy that sends each connection to the next one.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    connect::{World, in_front_of},
    leaving::{SOON, open_stream, route, upstream},
    postgres::{Cluster, TestDatabase},
    support::{Client, Log, TestGateway, Tokens},
};

/// Two replicas. The first has the origin at which clients reach either.
pub struct Replicas {
    pub first: TestGateway,
    second: TestGateway,
    /// Where each of them listens.
    pub addresses: [SocketAddr; 2],
    _logs: [Log; 2],
    /// Names their connections at the database.
    name: String,
    pub database: TestDatabase,
}

impl Replicas {
    /// Starts them, with `changes` in the configuration of both.
    pub async fn start(changes: Value) -> Self {
        let database = TestDatabase::create().await;
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", front.local_addr().unwrap());
        let name = format!("replicas-{}", front.local_addr().unwrap().port());
        let mut document = json!({
            "store": {"url": format!("{}&application_name={name}", database.url())},
            "encryption": {"keys": [{"id": "k1", "key": KEY}]},
            "server": {"publicOrigin": origin},
        });
        document.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let (mut first, first_log) = TestGateway::with_log(document.clone()).await;
        let (second, second_log) = TestGateway::with_log(document).await;
        let addresses = [&first, &second].map(|gateway| gateway.origin[7..].parse().unwrap());
        tokio::spawn(async move {
            let next = AtomicUsize::new(0);
            while let Ok((mut client, _)) = front.accept().await {
                let replica = addresses[next.fetch_add(1, Ordering::Relaxed) % 2];
                tokio::spawn(async move {
                    if let Ok(mut replica) = TcpStream::connect(replica).await {
                        let _until_one_leaves = copy_bidirectional(&mut client, &mut replica).await;
                    }
                });
            }
        });
        first.origin = origin;
        Self { first, second, addresses, _logs: [first_log, second_log], name, database }
    }

    /// A call at one of them.
    async fn call_at(&self, replica: usize, client: &Client, access: &str) -> StatusCode {
        let request = client.http.post(format!("http://{}/mcp/one", self.addresses[replica]));
        let request = request.header(header::HOST, &client.origin[7..]).bearer_auth(access).body("{}");
        request.send().await.unwrap().status()
    }

    /// Waits until a token is refused at both.
    async fn refused(&self, client: &Client, access: &str) -> Duration {
        let begun = Instant::now();
        for replica in 0..2 {
            while self.call_at(replica, client, access).await != StatusCode::UNAUTHORIZED {
                assert!(begun.elapsed() < SOON, "replica {replica} goes on believing");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        begun.elapsed()
    }

    async fn revoke(&self, client: &Client, token: &str) {
        let form = [("token", token), ("client_id", &client.id)];
        let url = format!("http://{}/oauth/revoke", self.addresses[0]);
        let request = client.http.post(url).header(header::HOST, &client.origin[7..]).form(&form);
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
}

/// Login, consent, connecting an upstream, tokens, refreshes and calls, each request at another replica than the one before.
#[tokio::test]
async fn every_request_of_every_flow_may_land_at_another_replica() {
    let upstream = TestGateway::with(json!({"identity": {"users": ["upstream-ada"]}})).await;
    let replicas = Replicas::start(in_front_of(&upstream)).await;
    let Replicas { first, second, addresses: _, _logs, name: _, database } = replicas;
    let world = World { upstream, gateway: first };
    for user in ["ada", "bob"] {
        let client = Client::register(&world.gateway).await;
        let mut tokens = world.log_in(&client, user).await;
        for _ in 0..3 {
            for _ in 0..3 {
                let answer: Value = client.call("/mcp/one", &tokens.access).await.json().await.unwrap();
                assert_eq!(answer["result"], json!({}), "{answer}");
            }
            tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
        }
    }
    drop((world, second, database));
}

/// The bound for a revocation that is heard is a second; the ten seconds of the caches are not waited for. Of ten the worst
/// may have met a busy machine.
#[tokio::test]
async fn a_revocation_at_one_replica_ends_tokens_and_streams_at_the_other() {
    let url = upstream(Duration::ZERO).await;
    let replicas = Replicas::start(json!({"routes": route(&url)})).await;
    let client = Client::register(&replicas.first).await;
    let mut took = Vec::new();
    for _ in 0..10 {
        let tokens = client.log_in("/mcp/one", "ada").await;
        let mut streams = [open_stream(&client, &tokens.access).await, open_stream(&client, &tokens.access).await];
        for replica in 0..2 {
            assert_eq!(replicas.call_at(replica, &client, &tokens.access).await, StatusCode::OK);
        }
        let begun = Instant::now();
        replicas.revoke(&client, &tokens.refresh).await;
        for stream in &mut streams {
            let mut rest = Vec::new();
            timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
            assert_eq!(rest, b"0\r\n\r\n");
        }
        replicas.refused(&client, &tokens.access).await;
        took.push(begun.elapsed());
    }
    took.sort();
    println!("revoked everywhere after {:?}, at most {:?}", took[5], took[9]);
    assert!(took[5] < Duration::from_secs(1) && took[9] < Duration::from_secs(5), "{took:?}");
}

/// The line is cut at the moment of the revocation.
#[tokio::test]
async fn a_revocation_that_is_not_heard_has_effect_within_ten_seconds() {
    let url = upstream(Duration::ZERO).await;
    let replicas = Replicas::start(json!({"routes": route(&url)})).await;
    let client = Client::register(&replicas.first).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let mut stream = open_stream(&client, &tokens.access).await;
    let (administrator, connection) =
        tokio_postgres::connect(&replicas.database.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    for replica in 0..2 {
        assert_eq!(replicas.call_at(replica, &client, &tokens.access).await, StatusCode::OK);
    }
    let cut = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{} changes'",
        replicas.name
    );
    assert_eq!(administrator.query(&cut, &[]).await.unwrap().len(), 2);
    replicas.revoke(&client, &tokens.refresh).await;
    assert!(replicas.refused(&client, &tokens.access).await < Duration::from_secs(11));
    timeout(SOON, stream.read_to_end(&mut Vec::new())).await.expect("the stream ends").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_waited_for_at_start_and_its_absence_later_is_survived() {
    let mut cluster = Cluster::start(None);
    let url = cluster.url();
    cluster.stop();
    let starting = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        cluster.serve();
        cluster
    });
    let (gateway, log) =
        TestGateway::with_log(json!({"store": {"url": url}, "encryption": {"keys": [{"id": "k1", "key": KEY}]}})).await;
    assert!(log.all().iter().any(|line| line.contains("mcp_store_unavailable")), "{:?}", log.all());
    let mut cluster = starting.join().unwrap();
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);

    cluster.stop();
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK, "known for ten seconds");
    let refused = client.refresh(&tokens.refresh).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key(header::RETRY_AFTER));
    let ready = format!("{}/readyz", gateway.admin);
    assert_eq!(reqwest::get(&ready).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);

    cluster.serve();
    let begun = Instant::now();
    while reqwest::get(&ready).await.unwrap().status() != StatusCode::OK {
        assert!(begun.elapsed() < SOON, "it does not recover");
    }
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

/// What a client was told is kept, at whatever moment the process is killed.
#[tokio::test]
async fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let (mut gateway, _log) = TestGateway::with_log(json!({})).await;
    let client = Client::register(&gateway).await;
    let first = client.log_in("/mcp/one", "ada").await;
    let mut newest = first;
    let http = client.http.clone();
    let (url, id) = (gateway.url("/oauth/token"), client.id.clone());
    let (sender, mut acknowledged) = tokio::sync::mpsc::unbounded_channel();
    let refreshing = {
        let mut refresh = newest.refresh.clone();
        tokio::spawn(async move {
            loop {
                let form = [("grant_type", "refresh_token"), ("refresh_token", &refresh), ("client_id", &id)];
                let Ok(response) = http.post(&url).form(&form).send().await else { return };
                let Ok(body) = response.json::<Value>().await else { return };
                let token = |name: &str| body[name].as_str().unwrap().to_owned();
                refresh = token("refresh_token");
                sender.send(Tokens { access: token("access_token"), refresh: refresh.clone() }).unwrap();
            }
        })
    };
    for _ in 0..20 {
        newest = timeout(SOON, acknowledged.recv()).await.unwrap().unwrap();
    }
    gateway.stop();
    refreshing.await.unwrap();
    while let Ok(tokens) = acknowledged.try_recv() {
        newest = tokens;
    }
    gateway.restart_with(json!({}));
    assert_eq!(client.call("/mcp/one", &newest.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&newest.refresh).await.status(), StatusCode::OK);
}

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
