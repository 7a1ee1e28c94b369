//! A hand-written HTTP/1.1 server on loopback, for tests: it can misbehave as no real one would.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use url::Url;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn form(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Raw(Vec<u8>),
    /// Sends these bytes, then nothing, and keeps the connection.
    Hang(Vec<u8>),
    /// Sends these bytes, then the chunk again and again until the peer is gone.
    Endless(Vec<u8>, Vec<u8>),
}

impl Reply {
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers: String = headers.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]).collect();
        let length = body.len();
        Self::Raw(
            format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}")
                .into_bytes(),
        )
    }

    pub(crate) fn json(body: &str) -> Self {
        Self::new(200, &[("Content-Type", "application/json")], body)
    }
}

/// The server; it ends with its value.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    accepted: Arc<AtomicU64>,
    hung_up: Arc<Notify>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub(crate) async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    pub(crate) fn on(listener: TcpListener, handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let (seen, sent, hung_up) = (Arc::default(), Arc::default(), Arc::default());
        let accepted = Arc::new(AtomicU64::new(0));
        let accepting = Arc::clone(&accepted);
        let connection = Connection {
            handler: Arc::new(handler),
            seen: Arc::clone(&seen),
            sent: Arc::clone(&sent),
            hung_up: Arc::clone(&hung_up),
        };
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.fetch_add(1, Ordering::SeqCst);
                connections.spawn(connection.clone().serve(stream));
            }
        });
        Self { address, seen, sent, accepted, hung_up, task }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|request| request.path() == path).count()
    }

    /// Waits until the peer of an endless reply has gone, and says how many bytes were written to it.
    pub(crate) async fn sent_until_hang_up(&self) -> u64 {
        self.hung_up.notified().await;
        self.sent.load(Ordering::SeqCst)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

#[derive(Clone)]
struct Connection {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<Request>>>,
    sent: Arc<AtomicU64>,
    hung_up: Arc<Notify>,
}

impl Connection {
    async fn serve(self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        self.seen.lock().unwrap().push(request.clone());
        match (self.handler)(&request) {
            Reply::Raw(bytes) => {
                let _peer_gone = stream.write_all(&bytes).await;
                let _peer_gone = stream.shutdown().await;
            }
            Reply::Hang(bytes) => {
                let _peer_gone = stream.write_all(&bytes).await;
                let _end = stream.read(&mut [0]).await;
                self.hung_up.notify_one();
            }
            Reply::Endless(head, chunk) => {
                let _peer_gone = stream.write_all(&head).await;
                while stream.write_all(&chunk).await.is_ok() {
                    self.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
                }
                self.hung_up.notify_one();
            }
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut start = lines.next()?.split(' ');
    let (method, target) = (start.next()?.to_owned(), start.next()?.to_owned());
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while bytes.len() < head_end + 4 + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&bytes[head_end + 4..head_end + 4 + length]).into_owned();
    Some(Request { method, target, headers, body })
}
