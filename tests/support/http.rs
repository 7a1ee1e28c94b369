//! A client that writes requests byte by byte and reads answers as they come.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

/// Anything to read from and write to.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A request to be written.
#[derive(Clone)]
pub struct Request {
    head: String,
    body: Vec<u8>,
}

/// The head of an answer or of a request.
#[derive(Debug, Clone)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// The fields in their order, names as sent.
    pub fields: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The head.
    pub head: Head,
    /// The body, unframed.
    pub body: Vec<u8>,
    /// Whether the body ended as its framing says, rather than with the connection.
    pub complete: bool,
}

/// One connection.
pub struct Connection {
    stream: Box<dyn Duplex>,
    buffer: Vec<u8>,
}

impl Request {
    /// A request; `Host` is added by [`Connection::send`]'s callers through [`Request::host`].
    pub fn new(method: &str, target: &str) -> Self {
        Self { head: format!("{method} {target} HTTP/1.1\r\n"), body: Vec::new() }
    }

    /// A JSON-RPC POST.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
            .header("Content-Type", "application/json")
            .header("Accept", "application/json, text/event-stream")
            .body(br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)
    }

    /// With one more field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for part in [name, ": ", value, "\r\n"] {
            self.head.push_str(part);
        }
        self
    }

    /// With the host.
    pub fn host(self, host: &str) -> Self {
        self.header("Host", host)
    }

    /// With a bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With this body and its length.
    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    /// As it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone().into_bytes();
        if !self.body.is_empty() || self.head.starts_with("POST") {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

impl Head {
    /// The status of an answer.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line")
    }

    /// The only value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() <= 1, "{name} comes {} times", values.len());
        values.first().copied()
    }

    /// All values of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value).collect()
    }

    /// The names of all fields, lower case, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.fields.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        names
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The only value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

impl Connection {
    /// A plain connection.
    pub async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("the edge listens"))
    }

    /// A connection over any stream.
    pub fn over(stream: impl Duplex + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Writes a request.
    pub async fn send(&mut self, request: &Request) {
        self.write(&request.bytes()).await;
    }

    /// Writes bytes; a TLS stream holds some back without a flush.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the peer reads");
        self.stream.flush().await.expect("the peer reads");
    }

    /// Writes bytes, as far as the peer takes them.
    pub async fn try_write(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).await.is_ok() {
            let _ = self.stream.flush().await;
        }
    }

    /// Writes a request and reads its answer.
    pub async fn exchange(&mut self, request: &Request) -> Answer {
        self.send(request).await;
        self.answer(request.head.starts_with("HEAD")).await.expect("an answer")
    }

    /// Reads a head; none if the connection ends first.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("an ASCII head");
                let mut lines = text.trim_end().split("\r\n");
                let line = lines.next().expect("a first line").to_owned();
                let field = |line: &str| {
                    let (name, value) = line.split_once(':').expect("a field");
                    (name.to_owned(), value.trim().to_owned())
                };
                return Some(Head { line, fields: lines.map(field).collect() });
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// Reads an answer, past informational ones; none if the connection ends first.
    pub async fn answer(&mut self, to_head: bool) -> Option<Answer> {
        let head = loop {
            let head = self.head().await?;
            if head.status() >= 200 {
                break head;
            }
        };
        let (body, complete) =
            if to_head || matches!(head.status(), 204 | 304) { (Vec::new(), true) } else { self.body(&head).await };
        Some(Answer { head, body, complete })
    }

    /// Reads a body as its head frames it, and says whether it ended properly.
    pub async fn body(&mut self, head: &Head) -> (Vec<u8>, bool) {
        if head.get("transfer-encoding").is_some() {
            let mut body = Vec::new();
            while let Some(chunk) = self.chunk().await {
                if chunk.is_empty() {
                    return (body, true);
                }
                body.extend(chunk);
            }
            return (body, false);
        }
        let Some(length) = head.get("content-length") else {
            if head.line.starts_with("HTTP/") {
                while self.fill().await {}
                return (std::mem::take(&mut self.buffer), true);
            }
            return (Vec::new(), true);
        };
        let length: usize = length.parse().expect("a length");
        while self.buffer.len() < length {
            if !self.fill().await {
                return (std::mem::take(&mut self.buffer), false);
            }
        }
        (self.buffer.drain(..length).collect(), true)
    }

    /// Reads one chunk; an empty one is the last, none means that the connection ended.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            match find(&self.buffer, b"\r\n") {
                Some(end) => break end,
                None if self.fill().await => {}
                None => return None,
            }
        };
        let size = std::str::from_utf8(&self.buffer[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a chunk size");
        while self.buffer.len() < end + 2 + size + 2 {
            if !self.fill().await {
                return None;
            }
        }
        let chunk = self.buffer[end + 2..end + 2 + size].to_vec();
        self.buffer.drain(..end + 2 + size + 2);
        Some(chunk)
    }

    /// Reads more; false at the end.
    pub async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    /// Waits until the peer closes; what it still sends is dropped.
    pub async fn closed(&mut self) {
        while self.fill().await {}
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
