//! MCP sessions of the older era through `HAProxy`, which sends each request to another replica than the one before.

use std::{
    collections::{HashMap, HashSet},
    process::{Child, Command},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, StatusCode, header};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::{
    leaving::SOON,
    postgres::TestDatabase,
    support::{Client, Log, TestGateway, Tokens, free_address},
};

/// A session of the upstream: how many calls it had, and its stream, if one is open.
#[derive(Default)]
struct McpSession {
    calls: u64,
    stream: Option<mpsc::UnboundedSender<String>>,
}

type Sessions = Arc<Mutex<HashMap<String, McpSession>>>;

/// An MCP server that keeps its state by session, as those of 2025-06-18 do.
async fn session_keeper() -> (String, Sessions) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let sessions = Sessions::default();
    let kept = Arc::clone(&sessions);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&kept)));
        }
    });
    (url, sessions)
}

async fn serve(mut stream: TcpStream, sessions: Sessions) {
    let mut received = Vec::new();
    let (head, body) = loop {
        if stream.read_buf(&mut received).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&received).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            break (head, body.to_owned());
        }
    };
    let named = field(&head, "mcp-session-id");
    let method = head.split(' ').next().unwrap().to_owned();
    if method == "get" {
        let (sender, mut events) = mpsc::unbounded_channel();
        let taken = named.and_then(|id| Some(sessions.lock().unwrap().get_mut(&id)?.stream.replace(sender)));
        if taken.is_none() {
            return write(&mut stream, "404 Not Found", "", "").await;
        }
        let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(begin.as_bytes()).await.unwrap();
        while let Some(event) = events.recv().await {
            let event = format!("data: {event}\n\n");
            let chunk = format!("{:x}\r\n{event}\r\n", event.len());
            if stream.write_all(chunk.as_bytes()).await.is_err() {
                return;
            }
        }
        let _gone_or_not = stream.write_all(b"0\r\n\r\n").await;
        return;
    }
    let message: Value = serde_json::from_str(&body).unwrap_or_default();
    let (status, extra, answer) = {
        let mut sessions = sessions.lock().unwrap();
        if message["method"] == "initialize" {
            let id = format!("upstream-{}", sessions.len());
            sessions.insert(id.clone(), McpSession::default());
            let result = json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                                "serverInfo": {"name": "keeper", "version": "1"}});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            ("200 OK", format!("Mcp-Session-Id: {id}\r\n"), answer.to_string())
        } else if method == "delete" {
            match named.and_then(|id| sessions.remove(&id)) {
                Some(_) => ("204 No Content", String::new(), String::new()),
                None => ("404 Not Found", String::new(), String::new()),
            }
        } else if let Some(session) = named.and_then(|id| sessions.get_mut(&id)) {
            session.calls += 1;
            let calls = session.calls;
            if let Some(stream) = &session.stream {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"calls": calls}});
                // The client may have left its stream.
                let _heard_or_not = stream.send(note.to_string());
            }
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"calls": calls}});
            ("200 OK", String::new(), answer.to_string())
        } else {
            ("404 Not Found", String::new(), String::new())
        }
    };
    write(&mut stream, status, &extra, &answer).await;
}

async fn write(stream: &mut TcpStream, status: &str, extra: &str, body: &str) {
    let length = if status.starts_with("204") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{extra}Content-Type: application/json\r\nConnection: close\r\n{length}\r\n{body}"
    );
    let _gone_or_not = stream.write_all(answer.as_bytes()).await;
}

fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// `HAProxy` in front of two addresses; each request goes to the other one. It ends with this.
struct Balancer {
    process: Child,
    _files: TempDir,
}

impl Balancer {
    fn start(at: &str, replicas: [&str; 2]) -> Self {
        let files = tempfile::tempdir().unwrap();
        let file = files.path().join("haproxy.cfg");
        let [first, second] = replicas;
        let configuration = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend public\n bind {at}\n default_backend replicas\n\
             backend replicas\n balance roundrobin\n http-reuse never\n option httpclose\n \
             server first {first}\n server second {second}\n"
        );
        std::fs::write(&file, configuration).unwrap();
        let path = format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default());
        let process = Command::new("haproxy").env("PATH", path).args(["-db", "-q", "-f"]).arg(&file).spawn();
        let process = process.expect("HAProxy is installed by tests/install.sh");
        let begun = Instant::now();
        while std::net::TcpStream::connect(at).is_err() {
            assert!(begun.elapsed() < SOON, "HAProxy does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { process, _files: files }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// A client of the older era with its session.
struct Caller<'c> {
    client: &'c Client,
    access: String,
    session: Option<String>,
}

impl Caller<'_> {
    fn request(&self, method: Method, accept: &str) -> RequestBuilder {
        let request = self.client.http.request(method, format!("{}/mcp/one", self.client.origin));
        let request = request.bearer_auth(&self.access).header(header::ACCEPT, accept);
        let request = request.header("mcp-protocol-version", "2025-06-18");
        match &self.session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        }
    }

    async fn post(&self, method: &str) -> reqwest::Response {
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {}});
        self.request(Method::POST, "application/json, text/event-stream").json(&message).send().await.unwrap()
    }

    async fn initialize(&mut self) {
        let answer = self.post("initialize").await;
        assert_eq!(answer.status(), StatusCode::OK);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        assert!(!session.contains("upstream-"), "sealed");
        self.session = Some(session);
    }
}

fn calls_in(log: &Log) -> usize {
    log.all().iter().filter(|line| line.contains("sallyport::access")).count()
}

/// No affinity, no memory of sessions at the replicas: initialize, calls, a stream, a refresh of the token, the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_at_all_replicas_behind_a_round_robin() {
    let (upstream, sessions) = session_keeper().await;
    let database = TestDatabase::create().await;
    let public = free_address().to_string();
    let document = json!({
        "store": {"url": database.url()},
        "encryption": {"keys": [{"id": "k1", "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]},
        "server": {"publicOrigin": format!("http://{public}")},
        "routes": [{"path": "/mcp/one", "operationId": "one", "upstream": {"url": upstream, "authMode": "none"}}],
    });
    let (mut first, first_log) = TestGateway::with_log(document.clone()).await;
    let (second, second_log) = TestGateway::with_log(document).await;
    let addresses = [first.address().to_string(), second.address().to_string()];
    let _balancer = Balancer::start(&public, [&addresses[0], &addresses[1]]);
    first.origin = format!("http://{public}");

    let client = Client::register(&first).await;
    let mut seen = HashSet::new();
    for user in ["ada", "bob", "ada"] {
        let mut tokens = client.log_in("/mcp/one", user).await;
        let mut caller = Caller { client: &client, access: tokens.access.clone(), session: None };
        caller.initialize().await;
        assert!(seen.insert(caller.session.clone()), "everybody has their own");
        let mut stream = caller.request(Method::GET, "text/event-stream").send().await.unwrap();
        assert_eq!(stream.status(), StatusCode::OK);
        let mut heard = String::new();
        for number in 1..=8 {
            if number == 5 {
                tokens = Tokens::from(client.refresh(&tokens.refresh).await).await;
                caller.access.clone_from(&tokens.access);
            }
            let answer: Value = caller.post("tools/call").await.json().await.unwrap();
            assert_eq!(answer["result"]["calls"], number, "{answer}");
            while !heard.contains(&format!("\"calls\":{number}")) {
                let part = timeout(SOON, stream.chunk()).await.expect("in time").unwrap().expect("it goes on");
                heard.push_str(&String::from_utf8_lossy(&part));
            }
        }
        // Nobody else's, at whatever replica.
        let other = client.log_in("/mcp/one", if user == "ada" { "bob" } else { "ada" }).await;
        let thief = Caller { client: &client, access: other.access, session: caller.session.clone() };
        for _ in 0..2 {
            assert_eq!(thief.post("tools/call").await.status(), StatusCode::NOT_FOUND);
        }
        let ended = caller.request(Method::DELETE, "*/*").send().await.unwrap();
        assert_eq!(ended.status(), StatusCode::NO_CONTENT);
        while timeout(SOON, stream.chunk()).await.expect("the stream ends").unwrap().is_some() {}
        for _ in 0..2 {
            assert_eq!(caller.post("tools/call").await.status(), StatusCode::NOT_FOUND);
        }
    }
    assert!(sessions.lock().unwrap().is_empty());
    for log in [&first_log, &second_log] {
        let begun = Instant::now();
        while calls_in(log) < 30 {
            assert!(begun.elapsed() < SOON, "{} requests at a replica", calls_in(log));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
