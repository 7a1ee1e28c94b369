//! What a client learns when the upstream fails.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::support::{Answer, Request, TestEdge, Upstream};

const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn expect_failure(answer: &Answer, status: u16, reason: &str, message: &str) {
    let id = answer.get("x-request-id").expect("a request id");
    let expected = json!({"jsonrpc": "2.0", "error": {"code": -32603, "message": message,
        "data": {"reason": reason, "requestId": id}}});
    assert_eq!((answer.status(), answer.json()), (status, expected));
    assert_eq!((answer.get("content-type"), answer.get("server")), (Some("application/json"), None));
}

#[tokio::test]
async fn an_upstream_that_is_down_is_502() {
    let upstream = Upstream::json().await;
    let url = upstream.url();
    drop(upstream);
    let edge = TestEdge::relaying_to(&url).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    expect_failure(&answer, 502, "upstream_unreachable", "The upstream could not be reached.");
    let answer = edge.call(Request::new("GET", "/mcp/a")).await;
    assert_eq!((answer.status(), answer.get("content-type")), (502, Some("application/problem+json")));
    assert_eq!(answer.json()["reason"], "upstream_unreachable");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_502() {
    let edge = TestEdge::builder().resolving_to(&[]).route("a", "http://nowhere.example/mcp").start().await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    expect_failure(&answer, 502, "upstream_unreachable", "The upstream could not be reached.");
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let upstream = Upstream::json().await;
    let url = format!("http://mcp.example:{}/up", upstream.address.port());
    let edge = TestEdge::builder().resolving_to(&["127.0.0.2", "127.0.0.1"]).route("a", &url).start().await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(upstream.only_call().head.get("host"), Some(&*format!("mcp.example:{}", upstream.address.port())));
}

#[tokio::test]
async fn an_upstream_that_hangs_is_504_after_its_response_timeout() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await;
    let edge = TestEdge::builder()
        .route_with("a", &upstream.url(), |server| server.response_timeout = Duration::from_millis(300))
        .start()
        .await;
    let began = Instant::now();
    let answer = timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an answer");
    expect_failure(&answer, 504, "upstream_timeout", "The upstream did not answer.");
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(upstream.calls().len(), 1);
}

/// A GET stream may be quiet for longer than any answer may take; so may a POST that listens.
#[tokio::test]
async fn a_quiet_stream_outlives_the_response_timeout() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            tokio::time::sleep(Duration::from_millis(900)).await;
            call.event("late").await;
            call.write(b"0\r\n\r\n").await;
        })
    })
    .await;
    let edge = TestEdge::builder()
        .route_with("a", &upstream.url(), |server| server.response_timeout = Duration::from_millis(300))
        .start()
        .await;
    for request in [Request::new("GET", "/mcp/a"), Request::post("/mcp/a").header("Mcp-Method", "subscriptions/listen")]
    {
        let answer = timeout(SOON, edge.call(request)).await.expect("an end");
        assert_eq!((answer.text(), answer.complete), ("data: late\n\n", true));
    }
}

#[tokio::test]
async fn an_upstream_that_closes_without_an_answer_is_502_and_is_asked_once() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.keep_alive = false;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    expect_failure(&answer, 502, "upstream_broken", "The upstream's answer broke off.");
    assert_eq!(upstream.calls().len(), 1);
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_http_is_502() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.write(b"220 smtp.example ESMTP\r\n\r\n").await;
            call.keep_alive = false;
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    expect_failure(&answer, 502, "upstream_broken", "The upstream's answer broke off.");
}

/// MCP tool calls are not idempotent: nothing is sent twice, not even on a connection that had gone stale.
#[tokio::test]
async fn a_call_on_a_stale_connection_is_not_repeated_but_a_stream_is_opened_again() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            if call.head.line.contains("die") {
                call.keep_alive = false;
            } else {
                call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await;
            }
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(edge.call(Request::post("/mcp/a?die")).await.status(), 502);
    assert_eq!((upstream.calls().len(), upstream.connections()), (2, 1), "the reused connection died once");
    assert_eq!(edge.call(Request::post("/mcp/a")).await.status(), 200);
    assert_eq!(edge.call(Request::new("GET", "/mcp/a?die")).await.status(), 502);
    assert_eq!((upstream.calls().len(), upstream.connections()), (5, 3), "a GET was tried on a new connection");
}

/// MCP: an upstream's 401 or 403 is about the gateway's credential, never the client's.
#[tokio::test]
async fn an_upstreams_refusal_is_not_relayed() {
    for status in ["401 Unauthorized", "403 Forbidden", "407 Proxy Authentication Required"] {
        let upstream = Upstream::start(move |call| {
            Box::pin(async move {
                call.read_body().await;
                call.respond(status, "WWW-Authenticate: Bearer resource_metadata=\"http://evil\"\r\n", b"no").await;
            })
        })
        .await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        let answer = edge.call(Request::post("/mcp/a")).await;
        expect_failure(&answer, 502, "upstream_unauthorized", "The upstream refused the gateway's credential.");
        assert_eq!(answer.get("www-authenticate"), None);
    }
}

#[tokio::test]
async fn redirects_pass_unless_the_operator_wants_them_followed() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            match call.head.line.split(' ').nth(1).unwrap_or_default() {
                "/up" => call.respond("307 Temporary Redirect", "Location: /up/\r\n", b"").await,
                "/up/" => call.respond("308 Permanent Redirect", "Location: /end?x=1\r\n", b"").await,
                "/end?x=1" => call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await,
                "/loop" => call.respond("307 Temporary Redirect", "Location: /loop\r\n", b"").await,
                "/away" => call.respond("307 Temporary Redirect", "Location: http://evil.example/\r\n", b"").await,
                _ => call.respond("302 Found", "Location: /end?x=1\r\n", b"").await,
            }
        })
    })
    .await;
    let base = format!("http://{}", upstream.address);
    let edge = TestEdge::builder()
        .route("a", &upstream.url())
        .route_with("b", &upstream.url(), |server| server.follow_redirects = true)
        .route_with("c", &format!("{base}/loop"), |server| server.follow_redirects = true)
        .route_with("d", &format!("{base}/away"), |server| server.follow_redirects = true)
        .route_with("e", &format!("{base}/found"), |server| server.follow_redirects = true)
        .start()
        .await;
    let answer = edge.call(Request::post("/mcp/a")).await;
    assert_eq!((answer.status(), answer.get("location")), (307, Some("/up/")));

    let large = vec![b'x'; 3 * 1024 * 1024];
    for body in [&b"{}"[..], &large[..70_000], &large] {
        let before = upstream.calls().len();
        let post = Request::new("POST", "/mcp/b").body(body).bearer(&edge.token("b"));
        assert_eq!(timeout(SOON, edge.exchange(post)).await.expect("an answer").status(), 200, "{}", body.len());
        let calls = upstream.calls().split_off(before);
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|call| call.body == body), "each attempt has the whole body of {}", body.len());
    }

    let sentence = "The upstream redirected to where the gateway does not follow.";
    for (route, calls) in [("c", 4), ("d", 1), ("e", 1)] {
        let before = upstream.calls().len();
        let answer = edge.exchange(Request::post(&format!("/mcp/{route}")).bearer(&edge.token(route))).await;
        expect_failure(&answer, 502, "upstream_redirect", sentence);
        assert_eq!(upstream.calls().len() - before, calls, "{route}");
    }
    let get = edge.exchange(Request::new("GET", "/mcp/e").bearer(&edge.token("e"))).await;
    assert_eq!(get.status(), 200);
    let too_large = format!(
        "POST /mcp/b HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 5000000\r\n\r\n",
        edge.host(),
        edge.token("b")
    );
    let mut connection = edge.connect().await;
    connection.write(too_large.as_bytes()).await;
    assert_eq!(connection.head().await.expect("an answer").status(), 413);
}
