//! An MCP session belongs to who opened it, at the route where it was opened.

use crate::support::{Answer, Request, TestEdge, Upstream};

/// Opens the session `upstream-session-1`, and echoes the session that it is called with.
async fn upstream() -> Upstream {
    Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let fields = "Content-Type: application/json\r\nMcp-Session-Id: upstream-session-1\r\n";
            call.respond("200 OK", fields, b"{}").await;
        })
    })
    .await
}

fn with_session(session: &str) -> Request {
    Request::post("/mcp/a").header("Mcp-Session-Id", session)
}

#[track_caller]
fn expect_unknown_session(answer: &Answer) {
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json()["error"]["message"], "Session not found.");
    assert_eq!(answer.json()["error"]["data"]["reason"], "unknown_session");
}

/// MCP security best practices: the upstream's id is not shown; the client's id stays the same through the session.
#[tokio::test]
async fn the_client_never_sees_the_upstreams_id_and_the_upstream_never_the_clients() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let opened = edge.call(Request::post("/mcp/a")).await;
    let session = opened.get("mcp-session-id").expect("a session");
    assert!(!session.contains("upstream-session-1"));
    assert!(session.bytes().all(|byte| byte.is_ascii_graphic()));
    let again = edge.call(with_session(session)).await;
    assert_eq!((again.status(), again.get("mcp-session-id")), (200, Some(session)));
    assert_eq!(upstream.calls()[1].head.get("mcp-session-id"), Some("upstream-session-1"));
}

/// MCP security best practices, session hijacking: bound to user, client and route.
#[tokio::test]
async fn a_session_of_somebody_else_does_not_exist() {
    let upstream = upstream().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).route("b", &upstream.url()).start().await;
    let opened = edge.call(Request::post("/mcp/a")).await;
    let session = opened.get("mcp-session-id").expect("a session").to_owned();
    let before = upstream.connections();

    for (subject, client) in [("bob", "client-1"), ("ada", "client-2"), ("ada\nclient", "-1")] {
        let stranger = edge.token_of(subject, client, "a");
        expect_unknown_session(&edge.exchange(with_session(&session).bearer(&stranger)).await);
    }
    let elsewhere = Request::post("/mcp/b").header("Mcp-Session-Id", &session).bearer(&edge.token("b"));
    expect_unknown_session(&edge.exchange(elsewhere).await);
    for method in ["GET", "DELETE"] {
        let stolen = Request::new(method, "/mcp/a").header("Mcp-Session-Id", &session).header("Last-Event-ID", "1");
        let answer = edge.exchange(stolen.bearer(&edge.token_of("bob", "client-1", "a"))).await;
        assert_eq!(answer.status(), 404);
    }
    assert_eq!((upstream.connections(), upstream.calls().len()), (before, 1));
}

#[tokio::test]
async fn a_forged_session_does_not_exist() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let opened = edge.call(Request::post("/mcp/a")).await;
    let session = opened.get("mcp-session-id").expect("a session").to_owned();
    let mut flipped = session.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let cut = &session[..session.len() - 4];
    for forged in ["upstream-session-1", "", &flipped, cut, "!!!", &"A".repeat(5000)] {
        expect_unknown_session(&edge.call(with_session(forged)).await);
    }
    let two = edge.call(with_session(&session).header("Mcp-Session-Id", &flipped)).await;
    assert_eq!((two.status(), &two.json()["error"]["data"]["reason"]), (400, &"bad_mcp_header".into()));
    assert_eq!(upstream.calls().len(), 1);
    assert_eq!(edge.call(with_session(&session)).await.status(), 200);
}

/// The grant behind a token may be renewed while a session goes on.
#[tokio::test]
async fn a_session_goes_on_with_the_next_token_of_the_same_user_and_client() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let opened = edge.call(Request::post("/mcp/a")).await;
    let session = opened.get("mcp-session-id").expect("a session");
    let refreshed = edge.token("a");
    assert_eq!(edge.exchange(with_session(session).bearer(&refreshed)).await.status(), 200);
}

/// MCP 2026-07-28: there are no sessions; the headers are ignored and none is minted.
#[tokio::test]
async fn a_modern_client_has_no_session() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(with_session("whatever").header("MCP-Protocol-Version", "2026-07-28")).await;
    assert_eq!((answer.status(), answer.get("mcp-session-id")), (200, None));
    assert_eq!(upstream.only_call().head.get("mcp-session-id"), None);
}

/// MCP Streamable HTTP: an invalid protocol version is 400; an unknown one is the upstream's business, which alone can
/// say what it supports.
#[tokio::test]
async fn a_protocol_version_has_to_look_like_one() {
    let upstream = upstream().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a").header("MCP-Protocol-Version", "2025-11-25, 2025-06-18")).await;
    assert_eq!((answer.status(), &answer.json()["error"]["data"]["reason"]), (400, &"bad_protocol_version".into()));
    assert_eq!(upstream.connections(), 0);
    for unknown in ["1999-01-01", "v999.0.0"] {
        let answer = edge.call(Request::post("/mcp/a").header("MCP-Protocol-Version", unknown)).await;
        assert_eq!(answer.status(), 200, "{unknown}");
        assert_eq!(upstream.calls().last().unwrap().head.get("mcp-protocol-version"), Some(unknown));
    }
}
