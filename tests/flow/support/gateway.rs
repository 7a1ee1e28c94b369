//! A whole gateway on a free loopback port, with a clock that the test turns.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use pingora::server::{ShutdownSignal, ShutdownSignalWatch};
use sallyport::{
    app::{self, Start},
    clock::Clock,
    config,
    store::{Store, sqlite::SqliteStore},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::Upstream;

/// A running gateway with the routes `/mcp/one` and `/mcp/two`; it stops when dropped.
pub struct TestGateway {
    pub origin: String,
    pub admin: String,
    pub clock: Clock,
    pub upstream: Upstream,
    pub directory: TempDir,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl TestGateway {
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// A gateway whose configuration has the members of `changes` in place of its own.
    pub async fn with(changes: Value) -> Self {
        let upstream = Upstream::start().await;
        let directory = TempDir::new().unwrap();
        let (address, admin) = (free_address(), free_address());
        let mut document = json!({
            "server": {"listen": [address.to_string()], "adminListen": admin.to_string(), "gracePeriodSeconds": 0, "threads": 1},
            "store": {"url": format!("sqlite:{}", directory.path().join("test.db").display())},
            "identity": {"provider": "dev", "users": ["ada", "bob"]},
            "routes": [
                {"path": "/mcp/one", "operationId": "one", "summary": "Route One",
                 "upstream": {"url": upstream.url("/one"), "authMode": "none"}},
                {"path": "/mcp/two", "operationId": "two", "summary": "Route Two",
                 "upstream": {"url": upstream.url("/two"), "authMode": "none"}},
            ],
        });
        merge(&mut document, changes);
        let source = config::Source::Text { name: "test".to_owned(), text: document.to_string() };
        let config = config::load(source, &|_| None).unwrap();
        let (clock, stop) = (Clock::adjustable(), Arc::new(Notify::new()));
        let start =
            Start { clock: clock.clone(), shutdown: Some(Box::new(Stop(Arc::clone(&stop)))), ..Start::default() };
        let thread = thread::spawn(move || app::run(&config, start).unwrap());
        wait_for(address);
        let origin = format!("http://{address}");
        Self { origin, admin: format!("http://{admin}"), clock, upstream, directory, stop, thread: Some(thread) }
    }

    /// Ends every grant behind the gateway's back, as an administrator of its database could.
    pub fn forget_all_grants(&self) {
        let database = rusqlite::Connection::open(self.directory.path().join("test.db")).unwrap();
        database.execute("UPDATE grants SET revoked_at = 1", []).unwrap();
        self.clock.advance(Duration::from_secs(11));
    }

    /// Does what the background clean-up does every minute.
    pub async fn clean_up(&self) {
        let store = SqliteStore::open(&self.directory.path().join("test.db")).unwrap();
        let now = self.clock.now();
        while store.remove_expired(now, now.minus(Duration::from_secs(90 * 24 * 3600))).await.unwrap() > 0 {}
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

impl Drop for TestGateway {
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Stop(Arc<Notify>);

#[async_trait]
impl ShutdownSignalWatch for Stop {
    async fn recv(&self) -> ShutdownSignal {
        self.0.notified().await;
        ShutdownSignal::FastShutdown
    }
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn wait_for(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(Instant::now() < deadline, "the gateway did not start");
        thread::sleep(Duration::from_millis(5));
    }
}
