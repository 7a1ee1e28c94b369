//! An MCP server that records what it gets and answers as a test says.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::http::{Connection, Head};

/// One request at the upstream.
pub struct Call {
    /// Its head.
    pub head: Head,
    /// Its connection.
    pub connection: Connection,
    /// Whether the connection goes on afterwards.
    pub keep_alive: bool,
    log: Arc<Log>,
}

/// What the upstream has seen.
#[derive(Default)]
pub struct Log {
    calls: Mutex<Vec<Recorded>>,
    connections: AtomicUsize,
    ended: watch::Sender<usize>,
}

/// A request as it was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The head.
    pub head: Head,
    /// The body, as far as the handler read it.
    pub body: Vec<u8>,
}

type Handler = Arc<dyn for<'c> Fn(&'c mut Call) -> BoxFuture<'c, ()> + Send + Sync>;

/// A running upstream; it ends with its value.
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Log>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Call {
    /// Reads the whole body and records it.
    pub async fn read_body(&mut self) -> Vec<u8> {
        let (body, complete) = self.connection.body(&self.head).await;
        assert!(complete, "the gateway sends whole bodies");
        self.log.calls.lock().unwrap().last_mut().expect("a recorded call").body.clone_from(&body);
        body
    }

    /// Writes bytes.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.connection.try_write(bytes).await;
    }

    /// Answers with these fields and this body.
    pub async fn respond(&mut self, status: &str, fields: &str, body: &[u8]) {
        let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        self.write(head.as_bytes()).await;
        self.write(body).await;
    }

    /// Begins a stream of events.
    pub async fn begin_events(&mut self) {
        self.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    }

    /// Sends one event of a stream.
    pub async fn event(&mut self, text: &str) {
        let event = format!("data: {text}\n\n");
        self.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await;
    }
}

impl Upstream {
    /// An upstream that reads every body and answers with a small JSON document.
    pub async fn json() -> Self {
        Self::start(|call| {
            Box::pin(async move {
                call.read_body().await;
                call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
            })
        })
        .await
    }

    /// An upstream that answers as `handler` does.
    pub async fn start(handler: impl for<'c> Fn(&'c mut Call) -> BoxFuture<'c, ()> + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(handler)).await
    }

    /// The same behind TLS.
    pub async fn start_tls(
        acceptor: TlsAcceptor,
        handler: impl for<'c> Fn(&'c mut Call) -> BoxFuture<'c, ()> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(acceptor), Arc::new(handler)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, handler: Handler) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let log = Arc::new(Log::default());
        let seen = Arc::clone(&log);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.fetch_add(1, Ordering::SeqCst);
                let (handler, log, tls) = (Arc::clone(&handler), Arc::clone(&seen), tls.clone());
                tokio::spawn(async move {
                    let connection = match tls {
                        None => Connection::over(stream),
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => Connection::over(stream),
                            Err(_refused) => return,
                        },
                    };
                    serve(connection, &handler, Arc::clone(&log)).await;
                    log.ended.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self { address, log, task }
    }

    /// The URL of its MCP endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/up", self.address)
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    /// Waits until this many connections have come to their end.
    pub async fn connections_ended(&self, many: usize) {
        let mut ended = self.log.ended.subscribe();
        let end = ended.wait_for(|ended| *ended >= many);
        tokio::time::timeout(Duration::from_secs(30), end).await.expect("connections end").expect("a log");
    }

    /// The requests so far.
    pub fn calls(&self) -> Vec<Recorded> {
        self.log.calls.lock().unwrap().clone()
    }

    /// The only request so far.
    pub fn only_call(&self) -> Recorded {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "one request went upstream");
        calls.remove(0)
    }
}

async fn serve(mut connection: Connection, handler: &Handler, log: Arc<Log>) {
    while let Some(head) = connection.head().await {
        log.calls.lock().unwrap().push(Recorded { head: head.clone(), body: Vec::new() });
        let mut call = Call { head, connection, keep_alive: true, log: Arc::clone(&log) };
        handler(&mut call).await;
        if !call.keep_alive {
            return;
        }
        connection = call.connection;
    }
}

/// What [`Upstream::json`] answers.
pub const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
