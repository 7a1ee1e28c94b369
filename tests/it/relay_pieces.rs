//! Head and body travel together where both are there, and neither waits for what is not.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Request, TestEdge, server::RunningServer};

/// Long enough for a slow machine; a test that meets it has failed.
const SOON: Duration = Duration::from_secs(10);
/// Whether tasks meet depends on the scheduler now and then, so the sum of many rounds is judged.
const ROUNDS: usize = 20;
const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n\
    9\r\ndata: 1\n\n\r\n0\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

/// One write makes one segment, so one read at the other end gets all of it.
#[tokio::test]
async fn the_head_of_a_request_reaches_the_upstream_with_its_body() {
    let (edge, mut upstream) = edge_and_upstream().await;
    let mut connection = edge.connect().await;
    for round in 0..20 {
        connection.send(&Request::post("/mcp/a").host(&edge.host()).bearer(&edge.token("a"))).await;
        let piece = upstream.read().await;
        assert!(piece.ends_with(b"}"), "round {round}: {}", String::from_utf8_lossy(&piece));
        upstream.answer().await;
        assert_eq!(timeout(SOON, connection.answer(false)).await.unwrap().expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn the_beginning_of_a_body_does_not_wait_for_its_end() {
    let (edge, mut upstream) = edge_and_upstream().await;
    let mut connection = edge.connect().await;
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    connection.write(head.as_bytes()).await;
    for part in [b"one", b"two", b"end"] {
        connection.write(part).await;
        assert!(upstream.read().await.ends_with(part));
    }
    upstream.answer().await;
    assert_eq!(timeout(SOON, connection.answer(false)).await.unwrap().expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_request_without_a_body_waits_for_nothing() {
    let (edge, mut upstream) = edge_and_upstream().await;
    for method in ["GET", "DELETE", "POST"] {
        let mut connection = edge.connect().await;
        connection.send(&Request::new(method, "/mcp/a").host(&edge.host()).bearer(&edge.token("a"))).await;
        assert!(upstream.read().await.starts_with(method.as_bytes()), "{method}");
        upstream.answer().await;
        assert_eq!(timeout(SOON, connection.answer(false)).await.unwrap().expect("an answer").status(), 200);
    }
}

/// An answer that the upstream sends in one piece is one piece for the client too, chunked or not.
#[tokio::test]
async fn an_answer_that_is_all_there_reaches_the_client_at_once() {
    for answer in [ANSWER, EVENTS] {
        let (url, mut upstream) = Pieces::listen().await;
        let server = RunningServer::start(&url, None).await;
        let host = server.address.to_string();
        let token = server.store.issue("ada", "c", "a", &format!("http://{host}/mcp/a"), "mcp:tools");
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let mut pieces = 0;
        for _ in 0..ROUNDS {
            client.write_all(&Request::post("/mcp/a").host(&host).bearer(&token).bytes()).await.unwrap();
            upstream.read().await;
            upstream.stream.as_mut().unwrap().write_all(answer).await.unwrap();
            let end: &[u8] = if answer == EVENTS { b"0\r\n\r\n" } else { b"{}" };
            let mut received = Vec::with_capacity(64 * 1024);
            while !received.ends_with(end) {
                let length = timeout(SOON, client.read_buf(&mut received)).await.expect("the rest").unwrap();
                assert!(length > 0, "it broke off: {}", String::from_utf8_lossy(&received));
                pieces += 1;
            }
        }
        assert!(pieces < ROUNDS * 3 / 2, "{pieces} pieces for {ROUNDS} answers");
    }
}

/// An upstream that shows in which pieces bytes come.
struct Pieces {
    listener: TcpListener,
    stream: Option<TcpStream>,
}

impl Pieces {
    async fn listen() -> (String, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (format!("http://{}", listener.local_addr().unwrap()), Self { listener, stream: None })
    }

    /// What one read brings.
    async fn read(&mut self) -> Vec<u8> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => self.stream.insert(timeout(SOON, self.listener.accept()).await.unwrap().unwrap().0),
        };
        let mut piece = vec![0; 64 * 1024];
        let length = timeout(SOON, stream.read(&mut piece)).await.expect("a piece").unwrap();
        piece.truncate(length);
        piece
    }

    async fn answer(&mut self) {
        self.stream.as_mut().unwrap().write_all(ANSWER).await.unwrap();
    }
}

async fn edge_and_upstream() -> (TestEdge, Pieces) {
    let (url, upstream) = Pieces::listen().await;
    (TestEdge::relaying_to(&url).await, upstream)
}
