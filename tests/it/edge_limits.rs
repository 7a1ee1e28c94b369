//! How much may be under way at once, and what is refused beyond.

use std::{net::IpAddr, sync::Arc, time::Duration};

use sallyport::proxy::{ConnectionLimits, Limits};
use tokio::{io::AsyncWriteExt, sync::Notify, time::timeout};

use crate::support::{Connection, Request, TestEdge, Upstream, until};

const SOON: Duration = Duration::from_secs(10);

/// An upstream that begins a stream and leaves it open.
async fn streaming() -> Upstream {
    Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            call.event("one").await;
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await
}

async fn edge(upstream: &Upstream, limits: Limits) -> TestEdge {
    TestEdge::builder().route("a", &upstream.url()).route("b", &upstream.url()).limits(limits).start().await
}

/// Opens a stream and keeps it open.
async fn open(edge: &TestEdge, request: Request, token: &str) -> Connection {
    let mut connection = edge.connect().await;
    connection.send(&request.host(&edge.host()).bearer(token)).await;
    let head = timeout(SOON, connection.head()).await.expect("in time").expect("an answer");
    assert_eq!(head.status(), 200);
    connection
}

async fn status(edge: &TestEdge, request: Request, token: &str) -> (u16, Option<String>, serde_json::Value) {
    let answer = edge.exchange(request.bearer(token)).await;
    (answer.status(), answer.get("retry-after").map(ToOwned::to_owned), answer.json())
}

/// RFC 6585 section 4.
#[tokio::test]
async fn a_person_gets_no_more_than_a_persons_share_and_others_theirs() {
    let upstream = streaming().await;
    let edge = edge(&upstream, Limits { of_user: 2, ..Limits::default() }).await;
    let (ada, adas_other) = (edge.token_of("ada", "c1", "a"), edge.token_of("ada", "c2", "b"));
    let bob = edge.token_of("bob", "c1", "a");
    let call = Request::post("/mcp/a").header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "ping");
    let held = [open(&edge, call, &ada).await, open(&edge, Request::new("GET", "/mcp/b"), &adas_other).await];
    let (code, retry, body) = status(&edge, Request::post("/mcp/a"), &ada).await;
    assert_eq!((code, retry.as_deref()), (429, Some("1")));
    assert_eq!(body["error"]["data"]["reason"], "too_many_requests");
    let bobs = open(&edge, Request::post("/mcp/a"), &bob).await;
    drop(held);
    while edge.underway.count() > 1 {
        tokio::task::yield_now().await;
    }
    open(&edge, Request::post("/mcp/a"), &ada).await;
    drop(bobs);
}

#[tokio::test]
async fn a_route_that_is_full_refuses_calls_and_its_neighbour_serves() {
    let upstream = streaming().await;
    let edge = edge(&upstream, Limits { calls_of_route: 1, ..Limits::default() }).await;
    let (here, there) = (edge.token("a"), edge.token("b"));
    let _held = open(&edge, Request::post("/mcp/a"), &here).await;
    let (code, retry, body) = status(&edge, Request::post("/mcp/a"), &here).await;
    assert_eq!((code, retry.as_deref()), (503, Some("2")));
    assert_eq!(body["error"]["data"]["reason"], "overloaded");
    open(&edge, Request::new("GET", "/mcp/a"), &here).await;
    open(&edge, Request::post("/mcp/b"), &there).await;
}

#[tokio::test]
async fn there_are_no_more_streams_than_allowed_and_calls_go_on() {
    let upstream = streaming().await;
    let edge = edge(&upstream, Limits { streams: 1, ..Limits::default() }).await;
    let token = edge.token("a");
    let _held = open(&edge, Request::new("GET", "/mcp/a"), &token).await;
    let (code, _, body) = status(&edge, Request::new("GET", "/mcp/a"), &token).await;
    assert_eq!((code, &body["reason"]), (503, &serde_json::json!("overloaded")));
    open(&edge, Request::post("/mcp/a"), &token).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_and_closed() {
    let upstream = Upstream::json().await;
    let edge = edge(&upstream, with_connections(20, 2)).await;
    let mut held = [edge.connect().await, edge.connect().await];
    for connection in &mut held {
        assert_eq!(connection.exchange(&Request::post("/mcp/a").host(&edge.host())).await.status(), 401);
    }
    let mut refused = edge.connect().await;
    let answer = timeout(SOON, refused.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.get("retry-after")), (503, Some("5")));
    timeout(SOON, refused.closed()).await.expect("it is closed");
    drop(held);
    let again = timeout(SOON, async {
        loop {
            let mut connection = edge.connect().await;
            connection.send(&Request::post("/mcp/a").host(&edge.host())).await;
            if connection.answer(false).await.is_some_and(|answer| answer.status() == 401) {
                break;
            }
        }
    });
    again.await.expect("places are given back");
}

/// A storm of calls leaves room for people who sign in.
#[tokio::test]
async fn where_connections_are_scarce_calls_are_refused_and_sign_in_works() {
    let upstream = Upstream::json().await;
    let edge = edge(&upstream, with_connections(10, 10)).await;
    let token = edge.token("a");
    let mut storm = Vec::new();
    for _ in 0..10 {
        let mut connection = edge.connect().await;
        connection.send(&Request::new("GET", "/oauth/authorize").host(&edge.host())).await;
        assert_eq!(connection.answer(false).await.expect("an answer").status(), 200);
        storm.push(connection);
    }
    let call = Request::post("/mcp/a").host(&edge.host()).bearer(&token);
    let answer = storm[0].exchange(&call).await;
    assert_eq!((answer.status(), answer.get("connection")), (503, Some("close")));
    assert_eq!(answer.json()["error"]["data"]["reason"], "overloaded");
    let sign_in = Request::new("GET", "/oauth/authorize").host(&edge.host());
    assert_eq!(storm[1].exchange(&sign_in).await.status(), 200);
    storm.truncate(5);
    let answer = timeout(SOON, async {
        loop {
            let answer = storm[4].exchange(&call).await;
            if answer.status() == 200 {
                break;
            }
            storm[4] = edge.connect().await;
        }
    });
    answer.await.expect("calls go on when there is room");
}

#[tokio::test]
async fn a_body_larger_than_what_is_passed_on_is_refused() {
    let upstream = Upstream::json().await;
    let edge = edge(&upstream, Limits::default()).await;
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    let mut stream = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 0x0010_0000], b"\r\n"].concat();
    let (reading, mut writing) = stream.into_split();
    let sender = tokio::spawn(async move {
        for _ in 0..70 {
            if writing.write_all(&chunk).await.is_err() {
                break;
            }
        }
        writing
    });
    let mut connection = Connection::over(tokio::io::join(reading, tokio::io::sink()));
    let answer = timeout(Duration::from_secs(60), connection.answer(false)).await.expect("in time");
    assert_eq!(answer.expect("an answer").status(), 413);
    sender.abort();
}

fn with_connections(all: usize, of_address: usize) -> Limits {
    Limits { connections: ConnectionLimits { all, of_address, ..ConnectionLimits::default() }, ..Limits::default() }
}

#[tokio::test]
async fn a_proxy_that_is_trusted_speaks_for_many() {
    let loopback = IpAddr::from([127, 0, 0, 1]).into();
    let connections =
        ConnectionLimits { all: 20, of_address: 1, proxies: vec![loopback], ..ConnectionLimits::default() };
    let upstream = Upstream::json().await;
    let edge = edge(&upstream, Limits { connections, ..Limits::default() }).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut connection = edge.connect().await;
        assert_eq!(connection.exchange(&Request::post("/mcp/a").host(&edge.host())).await.status(), 401);
        held.push(connection);
    }
}

async fn keeping(upstream: &Upstream, limits: Limits) -> TestEdge {
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).limits(limits).start().await;
    edge.credentials.set("ada", Ok("token"));
    edge
}

/// The beginning of a request whose body has `length` bytes.
async fn begin(edge: &TestEdge, length: usize, first: &[u8]) -> Connection {
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    let mut connection = edge.connect().await;
    connection.write(head.as_bytes()).await;
    connection.write(first).await;
    connection
}

/// Whoever sends slowly does not get more than its share meanwhile.
#[tokio::test]
async fn a_body_that_is_still_coming_counts_for_its_person() {
    let upstream = Upstream::json().await;
    let edge = keeping(&upstream, Limits { of_user: 1, ..Limits::default() }).await;
    let mut slow = begin(&edge, 10, b"12345").await;
    until("it is under way", || edge.underway.count() > 0).await;
    let token = edge.token("a");
    let (code, _, body) = status(&edge, Request::post("/mcp/a"), &token).await;
    assert_eq!((code, &body["error"]["data"]["reason"]), (429, &serde_json::json!("too_many_requests")));
    slow.write(b"67890").await;
    let answer = timeout(SOON, slow.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), upstream.only_call().body), (200, b"1234567890".to_vec()));
}

/// Bodies that must be kept share one room; small ones always fit.
#[tokio::test]
async fn kept_bodies_take_no_more_memory_than_there_is_for_them() {
    const KIB: usize = 1024;
    let go = Arc::new(Notify::new());
    let told = Arc::clone(&go);
    let upstream = Upstream::start(move |call| {
        let told = Arc::clone(&told);
        Box::pin(async move {
            if call.read_body().await.len() == 900 * KIB {
                told.notified().await;
            }
            call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await;
        })
    })
    .await;
    let edge = keeping(&upstream, Limits { kept_bodies: 1024 * KIB, ..Limits::default() }).await;
    let mut large = begin(&edge, 900 * KIB, &vec![b' '; 900 * KIB]).await;
    let went = || upstream.calls().first().is_some_and(|call| !call.body.is_empty());
    until("it went upstream, and is kept until it is answered", went).await;
    let answer_to = async |size: usize| edge.call(Request::new("POST", "/mcp/a").body(&vec![b' '; size])).await;
    let refused = answer_to(300 * KIB).await;
    assert_eq!((refused.status(), &refused.json()["error"]["data"]["reason"]), (503, &"overloaded".into()));
    assert_eq!(answer_to(64 * KIB).await.status(), 200);
    go.notify_one();
    let answer = timeout(SOON, large.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 200);
    timeout(SOON, async { while answer_to(300 * KIB).await.status() != 200 {} }).await.expect("there is room again");
}
