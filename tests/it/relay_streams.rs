//! Bodies and streams go through as they come, and end as they end.

use std::time::Duration;

use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use crate::support::{Request, TestEdge, Upstream, upstream::RESULT};

/// Long enough for a slow machine; a test that meets it has failed.
const SOON: Duration = Duration::from_secs(10);

/// MCP Streamable HTTP: events reach the client when they are sent, not when the stream ends.
#[tokio::test]
async fn events_arrive_one_by_one_before_the_upstream_goes_on() {
    let (go, gone) = mpsc::channel::<()>(1);
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
    let upstream = Upstream::start(move |call| {
        let gone = std::sync::Arc::clone(&gone);
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            for event in ["one", "two", "three"] {
                call.event(event).await;
                gone.lock().await.recv().await;
            }
            call.write(b"0\r\n\r\n").await;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for method in ["GET", "POST"] {
        let mut connection = edge.connect().await;
        let request = Request::new(method, "/mcp/a").header("Accept", "text/event-stream");
        connection.send(&request.host(&edge.host()).bearer(&edge.token("a"))).await;
        let head = timeout(SOON, connection.head()).await.unwrap().expect("an answer");
        assert_eq!((head.status(), head.get("content-type")), (200, Some("text/event-stream")));
        assert_eq!(head.get("x-accel-buffering"), Some("no"));
        for event in ["one", "two", "three"] {
            let chunk = timeout(SOON, connection.chunk()).await.expect("no buffering").expect("a chunk");
            assert_eq!(chunk, format!("data: {event}\n\n").as_bytes());
            go.send(()).await.unwrap();
        }
        assert_eq!(timeout(SOON, connection.chunk()).await.unwrap().as_deref(), Some(&b""[..]));
    }
}

/// RFC 9112 section 8: a message that broke off must not look complete.
#[tokio::test]
async fn an_answer_that_breaks_off_is_broken_off_for_the_client() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.keep_alive = false;
            if call.head.line.contains("length") {
                call.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"par")
                    .await;
            } else {
                call.begin_events().await;
                call.event("one").await;
                call.write(b"20\r\nhalf").await;
            }
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for query in ["chunked", "length"] {
        let answer = timeout(SOON, edge.call(Request::post(&format!("/mcp/a?{query}")))).await.expect("an end");
        assert_eq!((answer.status(), answer.complete), (200, false), "{query}");
    }
}

#[tokio::test]
async fn bodies_of_any_size_go_through_unchanged() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            let body = call.read_body().await;
            call.respond("200 OK", "Content-Type: application/octet-stream\r\n", &body).await;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 5 * 1024 * 1024] {
        let body: Vec<u8> = (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let answer = edge.call(Request::new("POST", "/mcp/a").body(&body)).await;
        assert_eq!((answer.status(), answer.complete, answer.body == body), (200, true, true), "{size}");
        let call = upstream.calls().pop().unwrap();
        assert_eq!((call.body == body, call.head.get("content-length")), (true, Some(&*size.to_string())), "{size}");
    }
}

#[tokio::test]
async fn a_chunked_body_reaches_the_upstream_chunk_by_chunk() {
    let (seen, mut sightings) = mpsc::channel::<Vec<u8>>(4);
    let upstream = Upstream::start(move |call| {
        let seen = seen.clone();
        Box::pin(async move {
            assert_eq!((call.head.get("transfer-encoding"), call.head.get("content-length")), (Some("chunked"), None));
            while let Some(chunk) = call.connection.chunk().await {
                let last = chunk.is_empty();
                seen.send(chunk).await.unwrap();
                if last {
                    break;
                }
            }
            call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let mut connection = edge.connect().await;
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    connection.write(head.as_bytes()).await;
    for part in ["{\"jsonrpc\"", ":\"2.0\"}"] {
        connection.write(format!("{:x}\r\n{part}\r\n", part.len()).as_bytes()).await;
        assert_eq!(timeout(SOON, sightings.recv()).await.expect("no buffering").unwrap(), part.as_bytes());
    }
    connection.write(b"0\r\n\r\n").await;
    assert_eq!(connection.answer(false).await.expect("an answer").status(), 200);
}

/// RFC 9110 section 10.1.1.
#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_its_body_gets_it() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let mut connection = edge.connect().await;
    let head = format!(
        "POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        edge.host(),
        edge.token("a")
    );
    connection.write(head.as_bytes()).await;
    let leave = timeout(SOON, connection.head()).await.expect("leave").expect("leave");
    assert_eq!(leave.status(), 100);
    connection.write(b"{}").await;
    assert_eq!(connection.answer(false).await.expect("an answer").status(), 200);
    let call = upstream.only_call();
    assert_eq!((call.head.get("expect"), &*call.body), (None, &b"{}"[..]));
}

#[tokio::test]
async fn a_client_that_waits_for_leave_without_a_token_is_refused_at_once() {
    let edge = TestEdge::relaying_to("http://127.0.0.1:1/").await;
    let head = "POST /mcp/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    let answer = timeout(SOON, edge.raw(head.as_bytes())).await.unwrap().expect("an answer");
    assert_eq!(answer.status(), 401);
}

/// MCP Streamable HTTP: 202 without a body for notifications; DELETE ends a session.
#[tokio::test]
async fn answers_without_a_body_go_through() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            match call.head.line.split(' ').next() {
                Some("POST") => call.respond("202 Accepted", "", b"").await,
                Some("DELETE") => call.write(b"HTTP/1.1 204 No Content\r\n\r\n").await,
                _ => call.respond("405 Method Not Allowed", "Allow: POST\r\n", b"").await,
            }
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    assert_eq!((answer.status(), answer.body.len(), answer.get("content-length")), (202, 0, Some("0")));
    assert_eq!(edge.call(Request::new("DELETE", "/mcp/a")).await.status(), 204);
    let answer = edge.call(Request::new("GET", "/mcp/a")).await;
    assert_eq!((answer.status(), answer.get("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn an_application_error_of_the_upstream_goes_through_with_its_body() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("404 Not Found", "Content-Type: application/json\r\n", br#"{"error":"gone"}"#).await;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    assert_eq!((answer.status(), answer.json()), (404, json!({"error": "gone"})));
}

#[tokio::test]
async fn connections_are_used_again_on_both_sides() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let mut connection = edge.connect().await;
    for _ in 0..5 {
        let request = Request::post("/mcp/a").host(&edge.host()).bearer(&edge.token("a"));
        assert_eq!(connection.exchange(&request).await.status(), 200);
        assert_eq!(connection.exchange(&Request::post("/mcp/a").host(&edge.host())).await.status(), 401);
    }
    assert_eq!((upstream.calls().len(), upstream.connections()), (5, 1));
}

#[tokio::test]
async fn a_draining_gateway_closes_connections_after_their_answer() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let request = Request::post("/mcp/a").host(&edge.host()).bearer(&edge.token("a"));
    let mut connection = edge.connect().await;
    assert_eq!(connection.exchange(&request).await.get("connection"), Some("keep-alive"));
    edge.drain();
    assert_eq!(connection.exchange(&request).await.get("connection"), Some("close"));
    timeout(SOON, connection.closed()).await.expect("the gateway closes");
}
