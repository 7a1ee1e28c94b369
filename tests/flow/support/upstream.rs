//! An MCP server that answers everything alike and remembers what it saw.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// The recording upstream.
pub struct Upstream {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    result: Arc<Mutex<Results>>,
}

/// What answers have as their result: for whoever asks in a language, and for everybody else.
struct Results {
    of_languages: HashMap<&'static str, String>,
    else_: String,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let result = Arc::new(Mutex::new(Results { of_languages: HashMap::new(), else_: "{}".to_owned() }));
        let answer = Arc::clone(&result);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&record), Arc::clone(&answer)));
            }
        });
        Self { address, seen, result }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What every answer has as its result from now on.
    pub fn answer_with(&self, result: &serde_json::Value) {
        self.result.lock().unwrap().else_ = result.to_string();
    }

    /// What every answer in this language has as its result from now on.
    pub fn answer_in(&self, language: &'static str, result: &serde_json::Value) {
        self.result.lock().unwrap().of_languages.insert(language, result.to_string());
    }

    /// The heads of all requests that arrived.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, record: Arc<Mutex<Vec<String>>>, result: Arc<Mutex<Results>>) {
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            let mut part = [0; 4096];
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => return,
                Ok(length) => received.extend_from_slice(&part[..length]),
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse::<usize>())
            })
            .map_or(0, |length| length.unwrap());
        while received.len() < end + length {
            let mut part = [0; 4096];
            match stream.read(&mut part).await {
                Ok(0) | Err(_) => return,
                Ok(length) => received.extend_from_slice(&part[..length]),
            }
        }
        received.drain(..end + length);
        let language = head.lines().find_map(|line| {
            line.to_ascii_lowercase().strip_prefix("accept-language:").map(|value| value.trim().to_owned())
        });
        let result = {
            let results = result.lock().unwrap();
            let of_language = language.and_then(|language| results.of_languages.get(&*language));
            of_language.unwrap_or(&results.else_).clone()
        };
        record.lock().unwrap().push(head);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
