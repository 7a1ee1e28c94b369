//! Requests whose length two programs could read differently (RFC 9112 sections 6.3, 11.2).

use std::time::Duration;

use sallyport::telemetry::counters::REQUESTS_UNREADABLE;
use tokio::time::timeout;

use crate::support::{TestEdge, Upstream};

const SOON: Duration = Duration::from_secs(10);

/// What follows a request on its connection, if the gateway believes the wrong length.
const SMUGGLED: &str = "POST /mcp/a HTTP/1.1\r\nHost: smuggled\r\nContent-Length: 0\r\n\r\n";

/// Sends `framing` with a good token and `after` behind the head; returns the statuses that come back.
async fn probe(edge: &TestEdge, framing: &str, after: &str) -> Vec<u16> {
    let head =
        format!("POST /mcp/a HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n", edge.host(), edge.token("a"));
    let mut connection = edge.connect().await;
    connection.try_write(format!("{head}{framing}\r\n{after}").as_bytes()).await;
    let mut statuses = Vec::new();
    while let Ok(Some(answer)) = timeout(Duration::from_secs(2), connection.answer(false)).await {
        statuses.push(answer.status());
    }
    statuses
}

#[tokio::test]
async fn contradictory_framing_is_refused_before_anything_goes_upstream() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for framing in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: -1\r\n",
        "Content-Length:\r\n",
        "Content-Length : 5\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: 5\r\n folded: 1\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "X: a\0b\r\nContent-Length: 5\r\n",
    ] {
        let statuses = probe(&edge, framing, "12345").await;
        assert_eq!(statuses, [400], "{framing:?}");
    }
    assert_eq!(upstream.calls().len(), 0);
}

/// It never came to a filter, and must neither say what answers here nor go unseen.
#[tokio::test]
async fn what_is_no_http_is_counted_and_learns_nothing() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let before = REQUESTS_UNREADABLE.value();
    let probes = [
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ];
    for probe in probes {
        let answer = edge.raw(probe.as_bytes()).await.expect("an answer");
        assert_eq!(answer.status(), 400, "{probe:?}");
        assert_eq!(answer.get("server"), None);
        assert_eq!((answer.get("connection"), answer.get("cache-control")), (Some("close"), Some("private, no-store")));
        assert!(answer.get("date").is_some_and(|date| !date.contains("1994")), "{:?}", answer.get("date"));
        assert_eq!(answer.text(), "");
    }
    assert!(REQUESTS_UNREADABLE.value() - before >= probes.len() as u64);
}

/// RFC 9112 section 6.1: with both, the body is chunked, and the connection ends after it.
#[tokio::test]
async fn of_length_and_chunks_the_chunks_count_and_nothing_after_them() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let both = format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", 5 + SMUGGLED.len());
    assert_eq!(probe(&edge, &both, &format!("0\r\n\r\n{SMUGGLED}")).await, [200]);
    let call = upstream.only_call();
    assert_eq!((call.head.get("content-length"), call.body.len()), (None, 0));

    let both = "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n";
    let chunk = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    assert_eq!(probe(&edge, both, &chunk).await, [200]);
    assert_eq!(upstream.calls().len(), 2);
    assert_eq!(upstream.calls()[1].body, SMUGGLED.as_bytes());
}

/// A second request behind the first is never taken for a part of it, and never gets the first one's token.
#[tokio::test]
async fn a_pipelined_request_stands_or_falls_on_its_own() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    let statuses = probe(&edge, "Content-Length: 2\r\n", &format!("{{}}{SMUGGLED}")).await;
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 401), "{statuses:?}");
    assert_eq!(upstream.only_call().body, b"{}");
}

#[tokio::test]
async fn broken_chunks_never_make_a_whole_request() {
    for chunks in ["5\r\n1234567\r\n0\r\n\r\n", "0x5\r\n12345\r\n0\r\n\r\n", "fffffffffffffffff\r\nx", "-1\r\n\r\n"] {
        let upstream = Upstream::start(|call| {
            Box::pin(async move {
                while let Some(chunk) = call.connection.chunk().await {
                    assert!(!chunk.is_empty(), "the body must not look complete");
                }
                call.keep_alive = false;
            })
        })
        .await;
        let edge = TestEdge::relaying_to(&upstream.url()).await;
        let statuses = timeout(SOON, probe(&edge, "Transfer-Encoding: chunked\r\n", chunks)).await.expect("an end");
        assert!(statuses.iter().all(|status| *status == 400), "{chunks:?} gave {statuses:?}");
    }
}

#[tokio::test]
async fn an_upgrade_is_not_passed_on() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::relaying_to(&upstream.url()).await;
    for upgrade in ["websocket", "h2c"] {
        let framing = format!("Connection: Upgrade\r\nUpgrade: {upgrade}\r\nContent-Length: 2\r\n");
        let statuses = probe(&edge, &framing, "{}").await;
        assert_eq!(statuses[0], 200, "{upgrade}");
        let call = upstream.calls().pop().expect("a call");
        assert_eq!((call.head.get("upgrade"), call.head.get("connection")), (None, None), "{upgrade}");
    }
}
