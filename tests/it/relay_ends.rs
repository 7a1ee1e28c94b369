//! What is open by a token ends when the token does (RS-25: long-lived streams end when their token expires or is revoked).

use std::time::Duration;

use sallyport::{
    crypto::Digest,
    store::{Change, GrantId},
};
use tokio::{sync::mpsc, time::timeout};

use crate::support::{Connection, Request, TestEdge, Upstream};

const SOON: Duration = Duration::from_secs(10);

/// An upstream that sends one event and then nothing, and says when a request came and when its connection was closed.
async fn silent_upstream() -> (Upstream, mpsc::UnboundedReceiver<&'static str>) {
    let (note, notes) = mpsc::unbounded_channel();
    let upstream = Upstream::start(move |call| {
        let note = note.clone();
        Box::pin(async move {
            call.read_body().await;
            note.send("asked").unwrap();
            if !call.head.line.contains("?pending") {
                call.begin_events().await;
                call.event("one").await;
            }
            call.connection.closed().await;
            call.keep_alive = false;
            note.send("closed").unwrap();
        })
    })
    .await;
    (upstream, notes)
}

/// Opens a stream and reads its first event.
async fn open(edge: &TestEdge, request: Request, token: &str) -> Connection {
    let mut connection = edge.connect().await;
    connection.send(&request.host(&edge.host()).bearer(token)).await;
    let head = timeout(SOON, connection.head()).await.expect("in time").expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(timeout(SOON, connection.chunk()).await.unwrap().as_deref(), Some(&b"data: one\n\n"[..]));
    connection
}

/// The stream has its proper end, and then the connection is closed.
async fn assert_ends(connection: &mut Connection) {
    assert_eq!(timeout(SOON, connection.chunk()).await.expect("it ends").as_deref(), Some(&b""[..]));
    timeout(SOON, connection.closed()).await.expect("the connection is closed");
}

async fn assert_goes_on(connection: &mut Connection) {
    assert!(timeout(Duration::from_millis(50), connection.chunk()).await.is_err(), "the stream goes on");
}

fn get() -> Request {
    Request::new("GET", "/mcp/a").header("Accept", "text/event-stream")
}

#[tokio::test]
async fn the_streams_of_a_revoked_grant_end_at_once_and_no_others() {
    let (upstream, mut notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let (token, other) = (edge.token("a"), edge.token("a"));
    let mut streams = [open(&edge, get(), &token).await, open(&edge, Request::post("/mcp/a"), &token).await];
    let mut neighbour = open(&edge, get(), &other).await;
    let grant = edge.store.end_at(&token, edge.clock.now());
    edge.changes.publish(&Change::GrantRevoked(GrantId("another".to_owned())));
    assert_eq!(edge.underway.count(), 3);
    edge.changes.publish(&Change::GrantRevoked(grant));
    for stream in &mut streams {
        assert_ends(stream).await;
    }
    assert_goes_on(&mut neighbour).await;
    assert_eq!(edge.underway.count(), 1);
    let mut seen = Vec::new();
    while seen.iter().filter(|note| **note == "closed").count() < 2 {
        seen.push(timeout(SOON, notes.recv()).await.expect("the upstream learns of it").unwrap());
    }
}

#[tokio::test]
async fn the_streams_of_a_revoked_access_token_end_at_once() {
    let (upstream, _notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    let mut stream = open(&edge, get(), &token).await;
    edge.changes.publish(&Change::AccessTokenRevoked(Digest::of(&token)));
    assert_ends(&mut stream).await;
}

/// An upstream that is never silent leaves no pause in which the end could be noticed.
#[tokio::test]
async fn a_stream_that_never_pauses_ends_with_its_token() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            loop {
                tokio::select! {
                    () = call.connection.closed() => break,
                    () = tokio::task::yield_now() => {}
                }
                call.event(&"more ".repeat(200)).await;
            }
            call.keep_alive = false;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    for request in [get(), Request::post("/mcp/a")] {
        let mut connection = edge.connect().await;
        connection.send(&request.host(&edge.host()).bearer(&token)).await;
        assert_eq!(timeout(SOON, connection.head()).await.expect("in time").expect("an answer").status(), 200);
        for _ in 0..100 {
            assert!(!connection.chunk().await.expect("more of it").is_empty());
        }
        edge.changes.publish(&Change::AccessTokenRevoked(Digest::of(&token)));
        let end = async { while connection.chunk().await.is_some_and(|chunk| !chunk.is_empty()) {} };
        timeout(SOON, end).await.expect("it ends");
    }
}

/// As when the line to the other replicas is down.
#[tokio::test]
async fn a_revocation_that_nobody_heard_of_is_found_in_the_store() {
    let (upstream, _notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let (token, other) = (edge.token("a"), edge.token("a"));
    let (mut stream, mut neighbour) = (open(&edge, get(), &token).await, open(&edge, get(), &other).await);
    edge.store.revoke(&token);
    edge.store.go_down();
    assert!(edge.underway.end_revoked(&*edge.store, edge.clock.now()).await.is_err());
    assert_goes_on(&mut stream).await;
    edge.store.come_back();
    edge.underway.end_revoked(&*edge.store, edge.clock.now()).await.unwrap();
    assert_ends(&mut stream).await;
    assert_goes_on(&mut neighbour).await;
}

/// A stream that answers nothing ends with its token; a call that was made in time may still be answered.
#[tokio::test]
async fn at_the_end_of_a_token_streams_end_and_calls_have_a_while_longer() {
    let (upstream, _notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    edge.store.end_at(&token, edge.clock.now().plus(Duration::from_secs(900)));
    let listen = Request::post("/mcp/a")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "subscriptions/listen");
    let mut streams = [open(&edge, get(), &token).await, open(&edge, listen, &token).await];
    let mut call = open(&edge, Request::post("/mcp/a"), &token).await;
    edge.clock.advance(Duration::from_secs(899));
    edge.underway.end_expired(edge.clock.now());
    assert_goes_on(&mut streams[0]).await;
    edge.clock.advance(Duration::from_secs(1));
    edge.underway.end_expired(edge.clock.now());
    for stream in &mut streams {
        assert_ends(stream).await;
    }
    edge.clock.advance(Duration::from_secs(299));
    edge.underway.end_expired(edge.clock.now());
    assert_goes_on(&mut call).await;
    edge.clock.advance(Duration::from_secs(1));
    edge.underway.end_expired(edge.clock.now());
    assert_ends(&mut call).await;
    assert_eq!(edge.underway.count(), 0);
}

#[tokio::test]
async fn a_call_without_an_answer_yet_is_told_that_its_token_is_revoked() {
    let (upstream, mut notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    let mut connection = edge.connect().await;
    let call = Request::post("/mcp/a?pending").host(&edge.host()).bearer(&token);
    connection.send(&call).await;
    assert_eq!(timeout(SOON, notes.recv()).await.unwrap(), Some("asked"));
    edge.changes.publish(&Change::AccessTokenRevoked(Digest::of(&token)));
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.get("connection")), (401, Some("close")));
    assert!(answer.get("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(timeout(SOON, notes.recv()).await.unwrap(), Some("closed"));
}

/// A connection serves one request after the other: what ends one must not end the next.
#[tokio::test]
async fn a_revocation_after_the_answer_ends_nothing() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let (token, other) = (edge.token("a"), edge.token("a"));
    let mut connection = edge.connect().await;
    let request = |token: &str| Request::post("/mcp/a").host(&edge.host()).bearer(token);
    assert_eq!(connection.exchange(&request(&token)).await.status(), 200);
    while edge.underway.count() > 0 {
        tokio::task::yield_now().await;
    }
    edge.changes.publish(&Change::AccessTokenRevoked(Digest::of(&token)));
    edge.underway.end_all();
    assert_eq!(connection.exchange(&request(&other)).await.status(), 200);
}

#[tokio::test]
async fn a_process_that_leaves_ends_streams_first_and_then_says_so_to_calls() {
    let (upstream, mut notes) = silent_upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let token = edge.token("a");
    let mut stream = open(&edge, get(), &token).await;
    let mut call = edge.connect().await;
    call.send(&Request::post("/mcp/a?pending").host(&edge.host()).bearer(&token)).await;
    for _ in 0..2 {
        assert_eq!(timeout(SOON, notes.recv()).await.unwrap(), Some("asked"));
    }
    edge.underway.end_streams(0, 1);
    assert_ends(&mut stream).await;
    assert_eq!(edge.underway.count(), 1);
    edge.underway.end_all();
    let answer = timeout(SOON, call.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.get("retry-after")), (503, Some("1")));
    assert_eq!(answer.json()["error"]["data"]["reason"], "leaving");
}

/// A stream that answers a call may be silent for longer than an upstream may take to answer.
#[tokio::test]
async fn the_time_for_an_answer_ends_with_its_head_where_it_is_a_stream() {
    let (upstream, mut notes) = silent_upstream().await;
    let patience = Duration::from_millis(300);
    let builder = TestEdge::builder().route_with("a", &upstream.url(), |server| server.response_timeout = patience);
    let edge = builder.start().await;
    let token = edge.token("a");
    let mut stream = open(&edge, Request::post("/mcp/a"), &token).await;
    assert_eq!(timeout(SOON, notes.recv()).await.unwrap(), Some("asked"));
    let mut connection = edge.connect().await;
    connection.send(&Request::post("/mcp/a?pending").host(&edge.host()).bearer(&token)).await;
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.json()["error"]["data"]["reason"].as_str()), (504, Some("upstream_timeout")));
    assert!(timeout(patience * 2, stream.chunk()).await.is_err(), "the stream goes on");
}
