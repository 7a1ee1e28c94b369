//! A whole gateway on a free loopback port, with a clock that the test turns.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
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

use super::{Log, Upstream, free_address};

/// A running gateway with the routes `/mcp/one` and `/mcp/two`; it stops when dropped.
pub struct TestGateway {
    pub origin: String,
    pub admin: String,
    pub clock: Clock,
    pub upstream: Upstream,
    pub directory: TempDir,
    pub document: Value,
    running: Option<Running>,
}

enum Running {
    Here { stop: Arc<Notify>, thread: JoinHandle<()> },
    Elsewhere(Child),
}

impl TestGateway {
    pub async fn start() -> Self {
        Self::with(json!({})).await
    }

    /// A gateway whose configuration has the members of `changes` in place of its own.
    pub async fn with(changes: Value) -> Self {
        let mut gateway = Self::stopped(changes).await;
        gateway.run_here();
        gateway
    }

    /// The program itself as a process of its own, and what it logs, as JSON and at every level.
    pub async fn with_log(changes: Value) -> (Self, Log) {
        Self::with_log_and_files(changes, &[]).await
    }

    /// The same with files, by name and content, beside its configuration.
    pub async fn with_log_and_files(changes: Value, files: &[(&str, &str)]) -> (Self, Log) {
        let mut gateway = Self::stopped(changes).await;
        merge(&mut gateway.document, json!({"log": {"format": "json", "level": "trace"}}));
        for (name, content) in files {
            std::fs::write(gateway.directory.path().join(name), content).unwrap();
        }
        let log = gateway.run_elsewhere();
        (gateway, log)
    }

    /// The configuration file of a process.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("sallyport.yaml")
    }

    /// Writes the configuration file, changed so.
    pub fn write(&mut self, changes: Value) {
        merge(&mut self.document, changes);
        std::fs::write(self.file(), self.document.to_string()).unwrap();
    }

    /// Starts the program again, as it was, after [`TestGateway::stop`].
    pub fn restart_process(&mut self) -> Log {
        self.wait_until_gone();
        self.run_elsewhere()
    }

    fn run_elsewhere(&mut self) -> Log {
        self.write(json!({}));
        // Where a test limits its files, it is to be told so and not to be killed (`setrlimit(2)`).
        let mut process = Command::new("/bin/sh")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_sallyport"), "run", "--config"])
            .arg(self.file())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::of(process.stderr.take().unwrap());
        self.running = Some(Running::Elsewhere(process));
        wait_until(self.address(), true);
        log
    }

    async fn stopped(changes: Value) -> Self {
        // The clients of the tests need one even where no gateway runs in this process.
        let _installed_or_was_before = rustls::crypto::ring::default_provider().install_default();
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
        Self {
            origin: format!("http://{address}"),
            admin: format!("http://{admin}"),
            clock: Clock::adjustable(),
            upstream,
            directory,
            document,
            running: None,
        }
    }

    /// Starts again, at the same address and with the same store, with another configuration.
    pub fn restart_with(&mut self, changes: Value) {
        self.stop();
        self.wait_until_gone();
        merge(&mut self.document, changes);
        self.run_here();
    }

    fn run_here(&mut self) {
        let source = config::Source::Text { name: "test".to_owned(), text: self.document.to_string() };
        let config = config::load(source, &|_| None).unwrap();
        let stop = Arc::new(Notify::new());
        let shutdown = Box::new(Stop(Arc::clone(&stop)));
        let start = Start { clock: self.clock.clone(), shutdown: Some(shutdown), ..Start::default() };
        let thread = thread::spawn(move || app::run(&config, start).unwrap());
        self.running = Some(Running::Here { stop, thread });
        wait_until(self.address(), true);
    }

    /// Ends it, so that its address refuses connections until [`TestGateway::restart_with`].
    pub fn stop(&mut self) {
        match self.running.take() {
            Some(Running::Here { stop, thread }) => {
                stop.notify_one();
                let _ = thread.join();
            }
            Some(Running::Elsewhere(mut process)) => {
                process.kill().unwrap();
                process.wait().unwrap();
            }
            None => {}
        }
    }

    /// Waits until nothing listens at either address any more.
    fn wait_until_gone(&self) {
        wait_until(self.address(), false);
        wait_until(self.admin.strip_prefix("http://").unwrap().parse().unwrap(), false);
    }

    /// The id of the process.
    pub fn pid(&self) -> u32 {
        let Some(Running::Elsewhere(process)) = &self.running else { panic!("not a process") };
        process.id()
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let Some(Running::Elsewhere(process)) = &self.running else { panic!("not a process") };
        let sent = Command::new("kill").arg(format!("-{name}")).arg(process.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self, within: Duration) -> ExitStatus {
        let Some(Running::Elsewhere(process)) = &mut self.running else { panic!("not a process") };
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                self.running = None;
                return status;
            }
            assert!(Instant::now() < deadline, "the gateway did not end");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.origin.strip_prefix("http://").unwrap().parse().unwrap()
    }

    /// Everything that the store holds, table by table, row by row.
    pub fn dump(&self) -> String {
        let database = self.database();
        let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
        let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        let mut dump = String::new();
        for table in tables {
            let mut rows = database.prepare(&format!("SELECT * FROM {table}")).unwrap();
            let columns = rows.column_count();
            let mut rows = rows.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values: Vec<rusqlite::types::Value> = (0..columns).map(|column| row.get(column).unwrap()).collect();
                writeln!(dump, "{table} {values:?}").unwrap();
            }
        }
        dump
    }

    /// The database file, as somebody else opens it.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.directory.path().join("test.db")).unwrap()
    }

    /// Ends every grant behind the gateway's back, as an administrator of its database could.
    pub fn forget_all_grants(&self) {
        self.database().execute("UPDATE grants SET revoked_at = 1", []).unwrap();
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
        self.stop();
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

/// Waits until somebody listens at the address, or nobody: the last threads of a gateway end after it.
fn wait_until(address: SocketAddr, listening: bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address).is_ok() != listening {
        assert!(Instant::now() < deadline, "the gateway did not start or end");
        thread::sleep(Duration::from_millis(5));
    }
}
