//! Connections to an upstream between two requests.

use crate::support::{Request, TestEdge, Upstream};

async fn upstream() -> Upstream {
    Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await;
            call.keep_alive = !call.head.line.contains("bye");
        })
    })
    .await
}

/// A call must not fail because its upstream has closed what it had left open, and would not be repeated.
#[tokio::test]
async fn a_connection_is_used_again_unless_the_upstream_has_closed_it() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for round in 0..10 {
        for path in ["/mcp/a", "/mcp/a?bye"] {
            assert_eq!(edge.call(Request::post(path)).await.status(), 200, "{path}");
        }
        assert_eq!(upstream.connections(), round + 1);
        upstream.connections_ended(round + 1).await;
    }
}

/// Head and body come in one piece, of which little is kept: what says how the connection goes on must be.
#[tokio::test]
async fn an_answer_says_whether_its_connection_is_used_again() {
    let body = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    for (answer, used_again) in [
        (format!("HTTP/1.1 200 OK\r\n{body}"), true),
        (format!("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=9\r\n{body}"), true),
        (format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{body}"), false),
        (format!("HTTP/1.0 200 OK\r\n{body}"), false),
        (format!("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n{body}"), true),
        (format!("HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 200 OK\r\n{body}"), true),
        (format!("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n{body}"), false),
    ] {
        let bytes = answer.clone();
        let upstream = Upstream::start(move |call| {
            let bytes = bytes.clone();
            Box::pin(async move {
                call.read_body().await;
                call.write(bytes.as_bytes()).await;
                call.keep_alive = true;
            })
        })
        .await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        for _ in 0..3 {
            let relayed = edge.call(Request::post("/mcp/a")).await;
            assert_eq!((relayed.status(), relayed.text()), (200, "{}"), "{answer}");
        }
        assert_eq!(upstream.connections(), if used_again { 1 } else { 3 }, "{answer}");
    }
}

/// Servers close what is idle for five seconds; we are first. No request comes that could remind anybody of it.
#[tokio::test]
async fn an_idle_connection_is_closed() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    upstream.connections_ended(1).await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(upstream.connections(), 2);
}

/// Many at once open many connections, and those that come after use them.
#[tokio::test]
async fn as_many_connections_are_kept_as_were_needed_at_once() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for _ in 0..3 {
        let calls = (0..32).map(|_| edge.call(Request::post("/mcp/a")));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.status(), 200);
        }
    }
    assert!(upstream.connections() <= 32, "{}", upstream.connections());
}
