//! A web site that publishes what clients say of themselves: over TLS, with a log of what was fetched.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::certificates::Authority;

/// The site of one client's makers.
pub struct Host {
    pub origin: String,
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    fetched: Arc<Mutex<Vec<String>>>,
    directory: TempDir,
}

/// What a path answers.
#[derive(Clone)]
struct Answer {
    status: &'static str,
    headers: String,
    body: String,
}

impl Host {
    pub async fn start() -> Self {
        let authority = Authority::new("clients");
        let directory = TempDir::new().unwrap();
        std::fs::write(directory.path().join("ca.pem"), &authority.pem).unwrap();
        let acceptor = authority.issue(&["127.0.0.1"]).acceptor(None, &[b"http/1.1"]);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<Mutex<HashMap<String, Answer>>> = Arc::default();
        let fetched: Arc<Mutex<Vec<String>>> = Arc::default();
        let (known, log) = (Arc::clone(&answers), Arc::clone(&fetched));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, known, log) = (acceptor.clone(), Arc::clone(&known), Arc::clone(&log));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_gone) => return,
                        }
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    log.lock().unwrap().push(head);
                    let nothing = Answer { status: "404 Not Found", headers: String::new(), body: String::new() };
                    let Answer { status, headers, body } = known.lock().unwrap().get(&path).cloned().unwrap_or(nothing);
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                    );
                    let _gone = stream.write_all(answer.as_bytes()).await;
                    let _gone = stream.shutdown().await;
                });
            }
        });
        Self { origin: format!("https://127.0.0.1:{port}"), answers, fetched, directory }
    }

    /// What makes a gateway trust this site and reach it.
    pub fn reachable(&self) -> Value {
        json!({"outbound": {"allowPrivateNetworks": ["127.0.0.0/8"], "caFile": self.ca_file()}})
    }

    fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Publishes a JSON document.
    pub fn publish(&self, path: &str, document: &Value) {
        self.answer(path, "200 OK", "Content-Type: application/json\r\n", &document.to_string());
    }

    /// Publishes the metadata of a public client with this one redirect URI, and returns the client's id.
    pub fn publish_client(&self, path: &str, redirect_uri: &str) -> String {
        self.publish_client_with(path, redirect_uri, json!({}))
    }

    /// Publishes the metadata of a client, with further members.
    pub fn publish_client_with(&self, path: &str, redirect_uri: &str, members: Value) -> String {
        let mut document = json!({
            "client_id": self.url(path),
            "client_name": "Document Client",
            "redirect_uris": [redirect_uri],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in members.as_object().unwrap() {
            document[name] = value.clone();
        }
        self.publish(path, &document);
        self.url(path)
    }

    /// Answers with anything.
    pub fn answer(&self, path: &str, status: &'static str, headers: &str, body: &str) {
        let answer = Answer { status, headers: headers.to_owned(), body: body.to_owned() };
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    /// The heads of the requests that were made.
    pub fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }

    /// How often a path was fetched.
    pub fn fetches(&self, path: &str) -> usize {
        self.fetched().iter().filter(|head| head.split(' ').nth(1) == Some(path)).count()
    }
}
