//! The capability filter: what upstreams answer.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::filter_requests::{policy, post};
use crate::support::{Request, TestEdge, Upstream};

const TOOLS: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret-tool","description":"d"},{"name":"echo","description":"Theirs.","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}},"outputSchema":{"type":"object"}}],"nextCursor":"next","ttlMs":1,"cacheScope":"public"}}"#;

async fn answering(content_type: &'static str, body: &'static str, cut: usize) -> Upstream {
    Upstream::start(move |call| {
        Box::pin(async move {
            call.read_body().await;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n");
            call.write(head.as_bytes()).await;
            for part in body.as_bytes().chunks(cut) {
                call.write(format!("{:x}\r\n", part.len()).as_bytes()).await;
                call.write(part).await;
                call.write(b"\r\n").await;
            }
            call.write(b"0\r\n\r\n").await;
        })
    })
    .await
}

#[tokio::test]
async fn a_list_is_narrowed_in_json_and_in_events_however_it_is_cut() {
    let events: &'static str = format!("event: message\r\nid: 1\r\ndata: {TOOLS}\r\n\r\n").leak();
    for (content_type, body) in [("application/json; charset=utf-8", TOOLS), ("text/event-stream", events)] {
        for cut in [1, 7, 100_000] {
            let upstream = answering(content_type, body, cut).await;
            let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
            let answer = edge.call(post("tools/list", &json!({}))).await;
            assert_eq!((answer.status(), answer.get("content-type")), (200, Some(content_type)));
            assert!(!answer.text().contains("secret-tool"), "{}", answer.text());
            let text = answer.text();
            let message = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(text);
            let message: serde_json::Value = serde_json::from_str(message).unwrap();
            let expected = json!({"tools": [{"name": "echo", "description": "Ours.",
                "inputSchema": {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}},
                "outputSchema": {"type": "object"}}], "nextCursor": "next", "ttlMs": 1, "cacheScope": "public"});
            assert_eq!(message["result"], expected);
        }
    }
}

#[tokio::test]
async fn a_list_with_its_length_is_narrowed_and_the_connection_goes_on() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("200 OK", "Content-Type: application/json\r\nETag: \"x\"\r\n", TOOLS.as_bytes()).await;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let mut connection = edge.connect().await;
    for _ in 0..3 {
        let request = post("tools/list", &json!({})).host(&edge.host()).bearer(&edge.token("a"));
        let answer = connection.exchange(&request).await;
        assert_eq!((answer.get("content-length"), answer.get("etag")), (None, None));
        assert_eq!(answer.json()["result"]["tools"].as_array().unwrap().len(), 1);
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn an_answer_that_nothing_can_be_hidden_in_keeps_its_length() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond(
                "200 OK",
                "Content-Type: application/json\r\n",
                b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}",
            )
            .await;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let answer = edge.call(post("ping", &json!({}))).await;
    assert_eq!((answer.status(), answer.get("content-length")), (200, Some("36")));
}

#[tokio::test]
async fn what_cannot_be_read_does_not_get_through() {
    for (fields, body, status, expected) in [
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "xx", 502, "upstream_unreadable"),
        ("Content-Type: text/html\r\n", "<p>secret-tool</p>", 502, "upstream_unreadable"),
        (
            "Content-Type: application/json\r\n",
            "{\"tools\":[\"secret-tool\"",
            200,
            "The upstream's answer cannot be read.",
        ),
        (
            "Content-Type: application/json\r\n",
            "{\"id\":1,\"result\":{\"Tools\":[{\"name\":\"secret-tool\"}]}}",
            200,
            "cannot be read",
        ),
    ] {
        let upstream = Upstream::start(move |call| {
            Box::pin(async move {
                call.read_body().await;
                call.respond("200 OK", fields, body.as_bytes()).await;
            })
        })
        .await;
        let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
        let answer = edge.call(post("tools/list", &json!({}))).await;
        assert_eq!(answer.status(), status, "{fields} {body}");
        assert!(answer.text().contains(expected) && !answer.text().contains("secret-tool"), "{}", answer.text());
    }
}

#[tokio::test]
async fn errors_of_the_upstream_keep_their_status_and_lose_what_no_client_reads() {
    for (status, fields, body, expected) in [
        (
            "404 Not Found",
            "Content-Type: application/json\r\n",
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#,
            Some(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"m"}}"#),
        ),
        ("500 Oops", "Content-Type: text/html\r\n", "<p>secret-tool</p>", Some("")),
        ("202 Accepted", "Content-Type: text/plain\r\n", "", Some("")),
    ] {
        let upstream = Upstream::start(move |call| {
            Box::pin(async move {
                call.read_body().await;
                call.respond(status, fields, body.as_bytes()).await;
            })
        })
        .await;
        let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
        let answer = edge.call(post("tools/list", &json!({}))).await;
        assert_eq!((format!("{}", answer.status()), Some(answer.text())), (status[..3].to_owned(), expected));
    }
}

/// The end of a session is answered by a status; some servers send an empty body in chunks, some a word.
#[tokio::test]
async fn a_session_can_be_ended_through_the_filter() {
    for head in
        ["Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"]
    {
        let upstream = Upstream::start(move |call| {
            Box::pin(async move {
                call.read_body().await;
                call.write(format!("HTTP/1.1 200 OK\r\n{head}").as_bytes()).await;
            })
        })
        .await;
        let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
        let answer = edge.call(Request::new("DELETE", "/mcp/a")).await;
        assert_eq!((answer.status(), answer.text()), (200, ""), "{head}");
    }
}

/// A stream that a client opens by GET tells only of what it may see, at once and not when the stream ends.
#[tokio::test]
async fn notifications_of_a_stream_are_narrowed_as_they_come() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.begin_events().await;
            call.event(
                r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:///hidden"}}"#,
            )
            .await;
            call.event(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:///shown"}}"#)
                .await;
            call.connection.closed().await;
            call.keep_alive = false;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let mut connection = edge.connect().await;
    let request = Request::new("GET", "/mcp/a").header("Accept", "text/event-stream");
    connection.send(&request.host(&edge.host()).bearer(&edge.token("a"))).await;
    assert_eq!(connection.head().await.unwrap().status(), 200);
    let chunk = timeout(Duration::from_secs(10), connection.chunk()).await.expect("no waiting").expect("a chunk");
    let expected = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:///shown"}}"#;
    assert_eq!(String::from_utf8(chunk).unwrap(), format!("data: {expected}\n\n"));
}
