//! Bodies that do not say how long they are, on routes that must be able to send them again.

use std::time::Duration;

use bytes::Bytes;
use http::Request as HttpRequest;
use sallyport::upstream::HttpVersion;
use serde_json::{Value, json};
use tokio::{sync::mpsc::UnboundedReceiver, time::timeout};

use super::{
    edge_tls::{connect, serve_as},
    relay_credentials::{guarded, guarded_http2, pattern},
};
use crate::support::{
    Connection, TestEdge, Upstream, certificates::Authority, credentials::user_oauth, server::RunningServer,
};

const SOON: Duration = Duration::from_secs(60);
const LIMIT: usize = 4 * 1024 * 1024;

/// How a client says where its body ends.
#[derive(Debug, Clone, Copy)]
enum Framing {
    /// HTTP/1.1, in chunks.
    Chunks,
    /// HTTP/2 without `content-length`.
    EndOfStream,
    /// The same, and fields behind the body.
    Trailers,
}

const FRAMINGS: [Framing; 3] = [Framing::Chunks, Framing::EndOfStream, Framing::Trailers];

/// A gateway that speaks both versions of HTTP, before an upstream of each that refuses every token but `fresh`; its
/// person has another one.
struct Gateway {
    server: RunningServer,
    authority: Authority,
    http1: Upstream,
    http2: UnboundedReceiver<(String, Vec<u8>)>,
}

async fn gateway() -> Gateway {
    let http1 = guarded(true).await;
    let (url, http2) = guarded_http2().await;
    let builder = TestEdge::builder().connected_route("one", &http1.url()).route_with("two", &url, |server| {
        server.http = HttpVersion::Http2;
        server.credential = user_oauth();
    });
    let (server, authority) = serve_as(builder).await;
    server.credentials.set("ada", Ok("stale"));
    Gateway { server, authority, http1, http2 }
}

impl Gateway {
    /// Posts `body` to a route; the status and the text of the answer.
    async fn post(&self, route: &str, framing: Framing, body: &[u8]) -> (u16, String) {
        timeout(SOON, async {
            match framing {
                Framing::Chunks => self.post_chunks(route, body).await,
                Framing::EndOfStream => self.post_http2(route, body, false).await,
                Framing::Trailers => self.post_http2(route, body, true).await,
            }
        })
        .await
        .unwrap_or_else(|_elapsed| panic!("no answer in time: {route} {framing:?} {}", body.len()))
    }

    fn token(&self, route: &str) -> String {
        self.server.store.issue("ada", "c", route, &format!("https://gw.example/mcp/{route}"), "mcp:tools")
    }

    async fn post_chunks(&self, route: &str, body: &[u8]) -> (u16, String) {
        let head = format!(
            "POST /mcp/{route} HTTP/1.1\r\nHost: gw.example\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.token(route)
        );
        let mut bytes = head.into_bytes();
        for chunk in body.chunks(10_007) {
            bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        let mut connection = Connection::over(connect(self.server.address, &self.authority, b"http/1.1").await);
        connection.try_write(&bytes).await;
        let answer = connection.answer(false).await.expect("an answer");
        (answer.status(), answer.text().to_owned())
    }

    async fn post_http2(&self, route: &str, body: &[u8], trailers: bool) -> (u16, String) {
        let stream = connect(self.server.address, &self.authority, b"h2").await;
        let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        let driver = tokio::spawn(connection);
        let request = HttpRequest::post(format!("https://gw.example/mcp/{route}"))
            .header("authorization", format!("Bearer {}", self.token(route)));
        let (response, mut stream) = client.send_request(request.body(()).unwrap(), false).expect("a stream");
        stream.send_data(Bytes::copy_from_slice(body), !trailers).expect("a body");
        if trailers {
            stream.send_trailers([(http::header::ETAG, "x".parse().unwrap())].into_iter().collect()).expect("trailers");
        }
        let mut response = response.await.expect("an answer");
        let mut read = Vec::new();
        while let Some(part) = response.body_mut().data().await {
            let part = part.expect("a whole answer");
            let _ = response.body_mut().flow_control().release_capacity(part.len());
            read.extend_from_slice(&part);
        }
        driver.abort();
        (response.status().as_u16(), String::from_utf8(read).expect("a text"))
    }

    /// What the upstream of a route got since the last time: the token and the body of each request.
    fn sent(&mut self, route: &str, before: usize) -> Vec<(String, Vec<u8>)> {
        if route == "one" {
            let calls = self.http1.calls().split_off(before);
            return calls
                .into_iter()
                .map(|call| (call.head.get("authorization").unwrap_or_default().to_owned(), call.body))
                .collect();
        }
        std::iter::from_fn(|| self.http2.try_recv().ok()).collect()
    }
}

/// Contract section 10: up to 4 MiB, however the body is framed on either side.
#[tokio::test]
async fn a_body_of_unknown_length_is_sent_again_byte_for_byte_up_to_the_limit_and_refused_above() {
    let mut gateway = gateway().await;
    gateway.server.credentials.then(Ok("fresh"));
    for (route, framing) in ["one", "two"].into_iter().flat_map(|route| FRAMINGS.map(|framing| (route, framing))) {
        for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 100 * 1024, 1024 * 1024, LIMIT - 1, LIMIT] {
            let (body, before) = (pattern(size), gateway.http1.calls().len());
            let (status, _) = gateway.post(route, framing, &body).await;
            assert_eq!(status, 200, "{route} {framing:?} {size}");
            let sent = gateway.sent(route, before);
            let tokens: Vec<_> = sent.iter().map(|(token, _)| &**token).collect();
            assert_eq!(tokens, ["Bearer stale", "Bearer fresh"], "{route} {framing:?} {size}");
            assert!(sent.iter().all(|(_, read)| *read == body), "{route} {framing:?} {size}");
        }
        let before = gateway.http1.calls().len();
        let (status, text) = gateway.post(route, framing, &pattern(LIMIT + 1)).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (status, &answer["error"]["data"]["reason"]),
            (413, &json!("body_too_large")),
            "{route} {framing:?}"
        );
        assert!(gateway.sent(route, before).is_empty(), "nothing of it reached the upstream");
    }
}

#[tokio::test]
async fn a_body_of_unknown_length_is_never_sent_a_third_time() {
    let mut gateway = gateway().await;
    gateway.server.credentials.then(Ok("stale-too"));
    for (route, framing) in ["one", "two"].into_iter().flat_map(|route| FRAMINGS.map(|framing| (route, framing))) {
        let call = json!({"jsonrpc": "2.0", "id": "1", "method": "tools/call",
            "params": {"name": "x", "arguments": {"text": "x".repeat(1024 * 1024)}}});
        let (body, before) = (call.to_string().into_bytes(), gateway.http1.calls().len());
        let (status, text) = gateway.post(route, framing, &body).await;
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32042)), "{route} {framing:?}");
        assert_eq!(answer["error"]["data"]["state"], "reconsent_required");
        let sent = gateway.sent(route, before);
        assert!(sent.len() == 2 && sent.iter().all(|(_, read)| *read == body), "{route} {framing:?} {}", sent.len());
    }
}
