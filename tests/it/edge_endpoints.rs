//! The gateway's own endpoints as the edge serves them.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::support::{Request, TestEdge};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_endpoint_gets_the_request_as_it_came() {
    let edge = TestEdge::builder().start().await;
    let request = Request::new("POST", "/oauth/token?a=%20b").header("X-Request-Id", "request-0001").body(b"grant");
    let answer = edge.exchange(request).await;
    let expected = json!({"method": "POST", "path": "/oauth/token", "query": "a=%20b", "body": 5,
        "origin": edge.origin(), "peer": "127.0.0.1", "id": "request-0001"});
    assert_eq!((answer.status(), answer.json()), (200, expected));
    assert_eq!((answer.get("x-request-id"), answer.get("server")), (Some("request-0001"), None));
    assert!(answer.get("date").is_some());
}

/// RFC 9110 section 9.3.2.
#[tokio::test]
async fn head_is_get_without_the_body() {
    let edge = TestEdge::builder().start().await;
    let mut connection = edge.connect().await;
    let get = Request::new("GET", "/oauth/x").header("X-Request-Id", "request-01").host(&edge.host());
    let get = connection.exchange(&get).await;
    let head = Request::new("HEAD", "/oauth/x").header("X-Request-Id", "request-02").host(&edge.host());
    let head = connection.exchange(&head).await;
    assert_eq!((head.status(), head.get("content-length")), (200, get.get("content-length")));
    assert_eq!(connection.exchange(&Request::new("GET", "/oauth/y").host(&edge.host())).await.status(), 200);
}

/// RFC 9457.
#[tokio::test]
async fn nothing_is_a_problem_document() {
    let edge = TestEdge::builder().start().await;
    let answer = edge.exchange(Request::new("GET", "/nothing")).await;
    assert_eq!((answer.status(), answer.get("content-type")), (404, Some("application/problem+json")));
    let expected = json!({"type": "about:blank", "title": "Not Found", "status": 404, "reason": "not_found",
        "detail": "There is nothing at this path.", "requestId": answer.get("x-request-id").unwrap()});
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn a_body_above_64_kib_is_413_however_it_is_framed() {
    let edge = TestEdge::builder().start().await;
    let fits = edge.exchange(Request::new("POST", "/oauth/token").body(&vec![b'x'; 64 * 1024])).await;
    assert_eq!((fits.status(), &fits.json()["body"]), (200, &json!(64 * 1024)));
    for size in [64 * 1024 + 1, 12 * 1024 * 1024] {
        let large = edge.exchange(Request::new("POST", "/oauth/token").body(&vec![b'x'; size])).await;
        assert_eq!((large.status(), &large.json()["reason"]), (413, &json!("body_too_large")));
    }
    let mut connection = edge.connect().await;
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", edge.host());
    connection.write(head.as_bytes()).await;
    for _ in 0..5 {
        connection.try_write(format!("{:x}\r\n{}\r\n", 16 * 1024, "x".repeat(16 * 1024)).as_bytes()).await;
    }
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408_after_ten_seconds() {
    let edge = TestEdge::builder().start().await;
    let mut connection = edge.connect().await;
    let head = format!("POST /oauth/token HTTP/1.1\r\nHost: {}\r\nContent-Length: 10\r\n\r\nhalf", edge.host());
    connection.write(head.as_bytes()).await;
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.get("connection")), (408, Some("close")));
}

#[tokio::test]
async fn a_refused_post_leaves_the_connection_usable() {
    let edge = TestEdge::builder().start().await;
    let mut connection = edge.connect().await;
    for _ in 0..3 {
        let answer = connection.exchange(&Request::post("/nothing").host(&edge.host())).await;
        assert_eq!((answer.status(), answer.get("connection")), (404, Some("keep-alive")));
    }
}
