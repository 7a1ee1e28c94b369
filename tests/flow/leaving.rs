//! How a process leaves: by SIGTERM, and by handing over to a new one without losing a request.

use std::{
    fs::File,
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{StatusCode, header};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::support::{Client, TestGateway};

/// Long enough for a slow machine.
pub const SOON: Duration = Duration::from_secs(20);

/// An MCP server that keeps a GET open after one event, and answers a POST after `pause`.
pub async fn upstream(pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let answer: &[u8] = if head.starts_with(b"GET") {
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
                      b\r\ndata: one\n\n\r\n"
                } else {
                    tokio::time::sleep(pause).await;
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
                };
                if stream.write_all(answer).await.is_ok() && head.starts_with(b"GET") {
                    let _until_it_is_closed = stream.read_buf(&mut head).await;
                }
            });
        }
    });
    format!("http://{address}/")
}

/// One route to it.
pub fn route(url: &str) -> serde_json::Value {
    json!([{"path": "/mcp/one", "operationId": "one", "upstream": {"url": url, "authMode": "none"}}])
}

/// A connection on which a request for a stream was sent, and its first event read.
pub async fn open_stream(client: &Client, access: &str) -> TcpStream {
    let host = client.origin.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let request = format!(
        "GET /mcp/one HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\nAuthorization: Bearer {access}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"data: one\n\n\r\n") {
        assert!(timeout(SOON, stream.read_buf(&mut seen)).await.unwrap().unwrap() > 0, "{seen:?}");
    }
    stream
}

#[tokio::test]
async fn a_process_with_nothing_open_says_that_it_leaves_and_leaves_soon() {
    let (mut gateway, log) = TestGateway::with_log(json!({"server": {"gracePeriodSeconds": 600}})).await;
    gateway.signal("TERM");
    let begun = Instant::now();
    let ready = format!("{}/readyz", gateway.admin);
    while reqwest::get(&ready).await.unwrap().status() != StatusCode::SERVICE_UNAVAILABLE {
        assert!(begun.elapsed() < SOON);
    }
    let late = reqwest::get(gateway.url("/oauth/authorize")).await.unwrap();
    assert_eq!(late.headers()[header::CONNECTION], "close", "who comes now is still served, once");
    assert!(gateway.ended(SOON).success());
    while !log.all().iter().any(|line| line.contains("mcp_gateway_stopped")) {
        assert!(begun.elapsed() < 2 * SOON, "{:?}", log.all());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A request is not lost because it comes a moment after its connection was the last to be accepted.
#[tokio::test]
async fn who_connected_before_the_listeners_closed_is_still_answered() {
    let (mut gateway, _log) = TestGateway::with_log(json!({"server": {"gracePeriodSeconds": 600}})).await;
    let host = gateway.origin.strip_prefix("http://").unwrap().to_owned();
    let mut connected = TcpStream::connect(&host).await.unwrap();
    gateway.signal("TERM");
    let begun = Instant::now();
    while TcpStream::connect(&host).await.is_ok() {
        assert!(begun.elapsed() < SOON, "the listeners stay open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let request = format!("GET /.well-known/oauth-authorization-server HTTP/1.1\r\nHost: {host}\r\n\r\n");
    connected.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, connected.read_to_string(&mut answer)).await.expect("an end").unwrap();
    let head = answer.to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("connection: close"), "{answer}");
    assert!(gateway.ended(SOON).success());
}

#[tokio::test]
async fn streams_end_properly_calls_are_answered_and_then_the_process_ends() {
    let url = upstream(Duration::from_secs(5)).await;
    let document = json!({"server": {"gracePeriodSeconds": 24}, "routes": route(&url)});
    let (mut gateway, _log) = TestGateway::with_log(document).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let mut stream = open_stream(&client, &tokens.access).await;
    let call = {
        let (http, url, access) = (client.http.clone(), gateway.url("/mcp/one"), tokens.access.clone());
        tokio::spawn(async move { http.post(url).bearer_auth(access).body("{}").send().await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    gateway.signal("TERM");
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the stream ends").unwrap();
    assert_eq!(rest, b"0\r\n\r\n", "with its proper end");
    assert_eq!(call.await.unwrap().status(), StatusCode::OK);
    assert!(gateway.ended(SOON).success());
    assert!(begun.elapsed() < Duration::from_secs(15), "not only when the grace period ends");
}

#[tokio::test]
async fn what_does_not_end_is_cut_with_an_answer_when_the_grace_period_ends() {
    let url = upstream(Duration::from_secs(600)).await;
    let document = json!({"server": {"gracePeriodSeconds": 1}, "routes": route(&url)});
    let (mut gateway, _log) = TestGateway::with_log(document).await;
    let client = Client::register(&gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let call = {
        let (http, url, access) = (client.http.clone(), gateway.url("/mcp/one"), tokens.access.clone());
        tokio::spawn(async move { http.post(url).bearer_auth(access).body("{}").send().await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    gateway.signal("TERM");
    let answer = call.await.unwrap();
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key(header::RETRY_AFTER));
    assert!(gateway.ended(SOON).success());
}

/// A gateway that can be upgraded. What took over from it ends with this.
struct Upgradable {
    gateway: TestGateway,
    files: TempDir,
}

impl Upgradable {
    async fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let document = json!({"server": {
            "gracePeriodSeconds": 20,
            "pidFile": files.path().join("pid"), "upgradeSocket": files.path().join("upgrade.sock"),
        }});
        let (gateway, _log) = TestGateway::with_log(document).await;
        Self { gateway, files }
    }

    fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.files.path().join("pid")).ok()?.trim().parse().ok()
    }

    fn config(&self) -> PathBuf {
        self.gateway.directory.path().join("sallyport.yaml")
    }

    /// Runs `conf/upgrade.sh`; the new process writes to a file.
    fn upgrade(&self) -> Output {
        self.script(&[])
    }

    fn script(&self, options: &[&str]) -> Output {
        self.command(options).output().unwrap()
    }

    fn command(&self, options: &[&str]) -> Command {
        let log = File::create(self.files.path().join("log")).unwrap();
        let mut script = Command::new("bash");
        script.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/upgrade.sh")).args(options).arg(self.config());
        script.env("SALLYPORT", env!("CARGO_BIN_EXE_sallyport")).stderr(log.try_clone().unwrap()).stdout(log);
        script
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.files.path().join("log")).unwrap()
    }
}

impl Drop for Upgradable {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ended = Command::new("kill").arg("-KILL").arg(pid.to_string()).status();
        }
    }
}

/// Requests without a pause: on kept connections, and each on a connection of its own. Who is told that a connection
/// closes opens another; nobody tries anything twice.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: JoinSet<Vec<String>>,
}

impl Load {
    fn start(client: &Client, access: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..12 {
            let kept = number % 4 != 0;
            let host = client.origin.strip_prefix("http://").unwrap().to_owned();
            let (stop, answered, access) = (Arc::clone(&stop), Arc::clone(&answered), access.to_owned());
            clients.spawn(async move {
                let mut failures = Vec::new();
                let mut connection = None;
                while !stop.load(Ordering::SeqCst) {
                    match ask(&host, &access, connection.take(), kept).await {
                        Ok(kept_open) => {
                            connection = kept_open;
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(failure) => failures.push(failure),
                    }
                }
                failures
            });
        }
        Self { stop, answered, clients }
    }

    /// Waits for so many more answers.
    async fn go_on(&self, more: usize) {
        let wanted = self.answered.load(Ordering::SeqCst) + more;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.answered.load(Ordering::SeqCst) < wanted {
            assert!(Instant::now() < deadline, "nobody answers any more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn finish(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await.concat()
    }
}

/// One call; the connection, if it is kept.
async fn ask(host: &str, access: &str, kept: Option<TcpStream>, keep: bool) -> Result<Option<TcpStream>, String> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(host).await.map_err(|error| format!("connect: {error}"))?,
    };
    let close = if keep { "" } else { "Connection: close\r\n" };
    let request = format!(
        "POST /mcp/one HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {access}\r\n{close}Content-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
    let mut answer = Vec::new();
    while !answer.ends_with(br#""result":{}}"#) {
        match timeout(SOON, stream.read_buf(&mut answer)).await {
            Ok(Ok(read)) if read > 0 => {}
            other => return Err(format!("read: {other:?} after {}", String::from_utf8_lossy(&answer))),
        }
    }
    let head = String::from_utf8_lossy(&answer).to_lowercase();
    if !head.starts_with("http/1.1 200") {
        return Err(head);
    }
    Ok((!head.contains("connection: close")).then_some(stream))
}

/// The issue's bar: no failed request over an upgrade.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_under_load_fails_no_request() {
    let mut old = Upgradable::start().await;
    let client = Client::register(&old.gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let first = old.pid().unwrap();
    let load = Load::start(&client, &tokens.access);
    load.go_on(200).await;
    let upgraded = tokio::task::block_in_place(|| old.upgrade());
    assert!(upgraded.status.success(), "{}", old.log());
    let second = old.pid().unwrap();
    assert_ne!(first, second);
    assert!(tokio::task::block_in_place(|| old.gateway.ended(Duration::from_secs(40))).success());
    load.go_on(200).await;
    assert_eq!(load.finish().await, Vec::<String>::new());
    assert_eq!(old.pid(), Some(second), "the old process took only its own away");
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    assert_eq!(client.refresh(&tokens.refresh).await.status(), StatusCode::OK);
}

/// systemd does not wait for a process that is another's child when it is told of it, and would kill it at once at the
/// next stop.
#[tokio::test]
async fn what_takes_over_is_no_child_of_the_script_when_the_service_manager_hears_of_it() {
    let old = Upgradable::start().await;
    let socket = old.files.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(SOON)).unwrap();
    let mut script = old.command(&[]).env("NOTIFY_SOCKET", &socket).spawn().unwrap();
    let mut told = [0; 100];
    let length = manager.recv(&mut told).unwrap();
    let told = String::from_utf8_lossy(&told[..length]).into_owned();
    let process = told.lines().find_map(|line| line.strip_prefix("MAINPID=")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    assert_ne!(parent.trim(), script.id().to_string());
    assert!(script.wait().unwrap().success(), "{}", old.log());
    assert_eq!(old.pid().map(|pid| pid.to_string()).as_deref(), Some(process));
}

#[tokio::test]
async fn a_process_without_a_successor_serves_on() {
    let old = Upgradable::start().await;
    let client = Client::register(&old.gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let first = old.pid();
    old.gateway.signal("QUIT");

    let sound = std::fs::read_to_string(old.config()).unwrap();
    for (unsound, told) in [
        (sound.replace("\"identity\"", "\"identitee\""), "cannot be used"),
        (sound.replace("sqlite:", "sqlite:/proc/no/such/place"), "ended before it was ready"),
    ] {
        std::fs::write(old.config(), unsound).unwrap();
        assert!(!old.upgrade().status.success());
        assert!(old.log().contains(told), "{}", old.log());
        assert_eq!(old.pid(), first);
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_process_of_the_same_program_is_told_to_read_its_configuration_and_says_whether_it_did() {
    let old = Upgradable::start().await;
    let client = Client::register(&old.gateway).await;
    let tokens = client.log_in("/mcp/one", "ada").await;
    let first = old.pid();
    let sound = std::fs::read_to_string(old.config()).unwrap();
    let renamed = sound.replace("/mcp/one", "/mcp/renamed");
    let unfollowable = renamed.replace("\"gracePeriodSeconds\":20", "\"gracePeriodSeconds\":21");
    for (unfit, told) in [
        (renamed.replace("\"identity\"", "\"identitee\""), "cannot be used"),
        (unfollowable, "refused: server.gracePeriodSeconds cannot change"),
    ] {
        std::fs::write(old.config(), unfit).unwrap();
        assert!(!old.script(&["--or-reload"]).status.success());
        assert!(old.log().contains(told), "{}", old.log());
        assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::OK);
    }
    std::fs::write(old.config(), renamed).unwrap();
    assert!(old.script(&["--or-reload"]).status.success(), "{}", old.log());
    assert_eq!(client.call("/mcp/one", &tokens.access).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(old.pid(), first);
}
