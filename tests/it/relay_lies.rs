//! An upstream that lies about the length of its answers, or breaks off: nobody gets another's answer, or a part for a whole.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::timeout;

use crate::support::{Request, TestEdge, Upstream, upstream::Call};

/// Long enough for a slow machine; a test that meets it has failed.
const SOON: Duration = Duration::from_secs(20);
/// An answer that nobody asked for.
const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\n\"evil\"";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";

/// An upstream that answers the first request with these bytes and all others properly.
async fn first_answer(bytes: String, close: bool) -> Upstream {
    let first = AtomicBool::new(true);
    Upstream::start(move |call: &mut Call| {
        let (bytes, lie) = (bytes.clone(), first.swap(false, Ordering::SeqCst));
        Box::pin(async move {
            call.read_body().await;
            if lie {
                call.write(bytes.as_bytes()).await;
                call.keep_alive = !close;
            } else {
                call.respond("200 OK", "Content-Type: application/json\r\n", b"\"true\"").await;
            }
        })
    })
    .await
}

/// Response smuggling: what follows an answer on its connection must not be taken for the answer to the next request.
#[tokio::test]
async fn what_follows_an_answer_is_nobodys_answer() {
    for (name, bytes) in [
        ("too much", format!("{HEAD}Content-Length: 2\r\n\r\n{{}}{EVIL}")),
        ("after the last chunk", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{EVIL}")),
        ("without a body", format!("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n{EVIL}")),
        ("a status without a body", format!("HTTP/1.1 204 No Content\r\n\r\n{EVIL}")),
    ] {
        let upstream = first_answer(bytes, false).await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        let first = edge.exchange(Request::post("/mcp/a").bearer(&edge.token_of("ada", "client-1", "a"))).await;
        assert!(!first.text().contains("evil"), "{name}: {}", first.text());
        for user in ["bob", "eve", "ada"] {
            let token = edge.token_of(user, "client-1", "a");
            let next = timeout(SOON, edge.exchange(Request::post("/mcp/a").bearer(&token))).await.expect("an answer");
            assert!(!next.text().contains("evil"), "{name}: {user} got {}", next.text());
        }
        assert_eq!(edge.call(Request::post("/mcp/a")).await.text(), "\"true\"", "{name}");
    }
}

/// The same a moment later, when the connection waits for its next request.
#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_its_connection() {
    let first = AtomicBool::new(true);
    let upstream = Upstream::start(move |call: &mut Call| {
        let lie = first.swap(false, Ordering::SeqCst);
        Box::pin(async move {
            call.read_body().await;
            call.respond("200 OK", "Content-Type: application/json\r\n", b"\"true\"").await;
            if lie {
                tokio::time::sleep(Duration::from_millis(200)).await;
                call.write(EVIL.as_bytes()).await;
                call.connection.closed().await;
                call.keep_alive = false;
            }
        })
    })
    .await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    assert_eq!(edge.call(Request::post("/mcp/a")).await.text(), "\"true\"");
    tokio::time::sleep(Duration::from_millis(400)).await;
    for _ in 0..3 {
        assert_eq!(timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an answer").text(), "\"true\"");
    }
}

/// A part is never taken for the whole (RFC 9112 section 8).
#[tokio::test]
async fn an_answer_that_breaks_off_is_incomplete_for_the_client_too() {
    for (name, bytes) in [
        ("too little", format!("{HEAD}Content-Length: 100\r\n\r\n{{\"half\":")),
        ("a missing last chunk", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n8\r\n{{\"half\":\r\n")),
        ("a broken chunk", format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n8\r\n{{\"half\":\r\nzz\r\n")),
    ] {
        let upstream = first_answer(bytes, true).await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        let answer = timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an end");
        assert!(!answer.complete || answer.status() == 502, "{name}: {} {}", answer.status(), answer.text());
        assert_eq!(edge.call(Request::post("/mcp/a")).await.text(), "\"true\"", "{name}: the next one is whole");
    }
}

/// RFC 9112 section 6.3: a length that cannot be right, or two of them, may hide where the answer ends.
#[tokio::test]
async fn contradictory_framing_of_an_answer_does_not_pass() {
    for framing in [
        "Content-Length: 2\r\nContent-Length: 6\r\n",
        "Content-Length: 2, 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: two\r\n",
        "Content-Length: 0x2\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
    ] {
        let upstream = first_answer(format!("{HEAD}{framing}\r\n{{}}{EVIL}"), true).await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        let answer = timeout(SOON, edge.call(Request::post("/mcp/a"))).await.expect("an end");
        assert_eq!(answer.status(), 502, "{framing}: {}", answer.text());
        assert!(!answer.text().contains("evil"), "{framing}");
        assert_eq!(edge.call(Request::post("/mcp/a")).await.text(), "\"true\"", "{framing}");
    }
}
