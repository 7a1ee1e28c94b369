//! A client that leaves before its answer: in the older revisions that takes nothing back, in 2026-07-28 it does.

use std::{sync::Arc, time::Duration};

use http::Request as HttpRequest;
use sallyport::{proxy::Limits, telemetry::Settings};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::support::{Connection, Request, TestEdge, Upstream, until, upstream::RESULT};

/// Long enough for a slow machine; a test that meets it has failed.
const SOON: Duration = Duration::from_secs(20);

/// An upstream that tells what happens to it and goes on when the test says so.
struct Slow {
    upstream: Upstream,
    go: mpsc::UnboundedSender<()>,
    notes: mpsc::UnboundedReceiver<&'static str>,
}

impl Slow {
    /// Waits before its answer; with `?events` it begins a stream first, with `?ids` one whose events have ids, and with
    /// `?much` it writes a stream that does not end.
    async fn start() -> Self {
        let (go, going) = mpsc::unbounded_channel::<()>();
        let (note, notes) = mpsc::unbounded_channel();
        let going = Arc::new(Mutex::new(going));
        let upstream = Upstream::start(move |call| {
            let (note, going) = (note.clone(), Arc::clone(&going));
            Box::pin(async move {
                call.read_body().await;
                let line = call.head.line.clone();
                if line.contains("?quick") {
                    return call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
                }
                let streams = !line.contains("?json");
                if streams {
                    call.begin_events().await;
                    let first = if line.contains("?ids") { "id: 7\ndata: one\n\n" } else { "data: one\n\n" };
                    call.write(format!("{:x}\r\n{first}\r\n", first.len()).as_bytes()).await;
                }
                note.send("asked").unwrap();
                let mut going = going.lock().await;
                tokio::select! {
                    _ = going.recv() => {}
                    () = call.connection.closed() => {
                        call.keep_alive = false;
                        return note.send("left alone").unwrap();
                    }
                }
                let piece = "x".repeat(60 * 1024);
                for _ in 0..if line.contains("?much") { usize::MAX } else { 3 } {
                    if streams {
                        call.event(&piece).await;
                    }
                    if line.contains("?much")
                        && timeout(Duration::from_millis(1), call.connection.closed()).await.is_ok()
                    {
                        call.keep_alive = false;
                        return note.send("left alone").unwrap();
                    }
                }
                if streams {
                    call.write(b"0\r\n\r\n").await;
                } else {
                    call.respond("200 OK", "Content-Type: application/json\r\n", RESULT.as_bytes()).await;
                }
                note.send("done").unwrap();
            })
        })
        .await;
        Self { upstream, go, notes }
    }

    async fn edge(&self) -> TestEdge {
        TestEdge::relaying_to(&self.upstream.url()).await
    }

    async fn hears(&mut self, what: &str) {
        let heard = timeout(SOON, self.notes.recv()).await.expect("in time");
        assert_eq!(heard, Some(what));
    }
}

/// Sends a request, and waits until it is at work upstream.
async fn ask(edge: &TestEdge, slow: &mut Slow, request: Request) -> Connection {
    let mut connection = edge.connect().await;
    connection.send(&request.host(&edge.host()).bearer(&edge.token("a"))).await;
    slow.hears("asked").await;
    connection
}

fn modern(request: Request) -> Request {
    request.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "tools/call").header("Mcp-Name", "t")
}

/// MCP 2025-11-25, transports: "Disconnection SHOULD NOT be interpreted as the client cancelling its request."
#[tokio::test]
async fn a_call_is_seen_through_when_its_client_leaves_and_keeps_its_place_meanwhile() {
    let mut slow = Slow::start().await;
    let edge = slow.edge().await;
    for answer in ["json", "events"] {
        for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
            let request = Request::post(&format!("/mcp/a?{answer}")).header("MCP-Protocol-Version", version);
            drop(ask(&edge, &mut slow, request).await);
            until("it goes on alone", || edge.underway.unheard() == 1).await;
            assert_eq!(edge.underway.count(), 1);
            slow.go.send(()).unwrap();
            slow.hears("done").await;
            until("nothing is under way", || edge.underway.count() == 0).await;
        }
    }
    let answer = edge.call(Request::post("/mcp/a?quick")).await;
    assert_eq!((answer.status(), answer.text()), (200, RESULT));
    assert_eq!(slow.upstream.connections(), 1, "the upstream's connection is as good as before");
}

#[tokio::test]
async fn a_client_that_reads_on_after_its_last_word_has_its_answer() {
    let mut slow = Slow::start().await;
    let edge = slow.edge().await;
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    let request = Request::post("/mcp/a?json").host(&edge.host()).bearer(&edge.token("a"));
    stream.write_all(&request.bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    slow.hears("asked").await;
    until("it goes on alone", || edge.underway.unheard() == 1).await;
    slow.go.send(()).unwrap();
    let mut connection = Connection::over(stream);
    let answer = timeout(SOON, connection.answer(false)).await.expect("in time").expect("an answer");
    assert_eq!((answer.status(), answer.text()), (200, RESULT));
    timeout(SOON, connection.closed()).await.expect("and then the connection is closed");
}

/// MCP 2026-07-28: closing the stream is the way to cancel. GET opens a stream that answers nothing in every revision.
#[tokio::test]
async fn leaving_is_taking_back_in_the_modern_revision_and_for_streams() {
    let mut slow = Slow::start().await;
    let edge = slow.edge().await;
    for request in [
        modern(Request::post("/mcp/a?json")),
        modern(Request::post("/mcp/a?events")),
        Request::new("GET", "/mcp/a?events").header("Accept", "text/event-stream"),
    ] {
        drop(ask(&edge, &mut slow, request).await);
        slow.hears("left alone").await;
        until("nothing is under way", || edge.underway.count() == 0).await;
    }
}

/// MCP 2025-11-25, resumability: the client comes back with `Last-Event-ID`, which servers refuse while the stream is read.
#[tokio::test]
async fn a_stream_that_can_be_taken_up_again_is_left_to_its_server() {
    let mut slow = Slow::start().await;
    let edge = slow.edge().await;
    let mut connection = ask(&edge, &mut slow, Request::post("/mcp/a?ids")).await;
    connection.head().await.expect("an answer");
    connection.chunk().await.expect("an event");
    drop(connection);
    slow.hears("left alone").await;
    until("nothing is under way", || edge.underway.count() == 0).await;
}

#[tokio::test]
async fn what_nobody_hears_is_not_read_without_end() {
    let mut slow = Slow::start().await;
    let edge = slow.edge().await;
    drop(ask(&edge, &mut slow, Request::post("/mcp/a?much")).await);
    until("it goes on alone", || edge.underway.unheard() == 1).await;
    slow.go.send(()).unwrap();
    slow.hears("left alone").await;
    until("nothing is under way", || edge.underway.count() == 0).await;
}

/// Leaving gains nothing under the limits, and whoever loses the token loses what goes on by it.
#[tokio::test]
async fn what_nobody_hears_counts_as_much_as_what_somebody_does() {
    let mut slow = Slow::start().await;
    let limits = Limits { of_user: 1, ..Limits::default() };
    let edge = TestEdge::builder().route("a", &slow.upstream.url()).limits(limits).start().await;
    let token = edge.token("a");
    let mut connection = edge.connect().await;
    connection.send(&Request::post("/mcp/a?json").host(&edge.host()).bearer(&token)).await;
    slow.hears("asked").await;
    drop(connection);
    until("it goes on alone", || edge.underway.unheard() == 1).await;
    let refused = edge.exchange(Request::post("/mcp/a?quick").bearer(&token)).await;
    assert_eq!(refused.status(), 429);
    edge.store.revoke(&token);
    edge.underway.end_revoked(&*edge.store, edge.clock.now()).await.unwrap();
    slow.hears("left alone").await;
    until("nothing is under way", || edge.underway.count() == 0).await;
}

/// The same over HTTP/2, where a client leaves one stream or all of a connection.
#[tokio::test]
async fn over_http2_a_reset_and_a_lost_connection_are_no_cancelling_either() {
    let mut slow = Slow::start().await;
    let (server, authority) = crate::edge_tls::serve(&slow.upstream).await;
    let token = server.store.issue("ada", "c", "a", "https://gw.example/mcp/a", "mcp:tools");
    let call = |answer: &str| {
        HttpRequest::post(format!("https://gw.example/mcp/a?{answer}"))
            .header("authorization", format!("Bearer {token}"))
    };
    for answer in ["json", "events"] {
        for whole_connection in [false, true] {
            let stream = crate::edge_tls::connect(server.address, &authority, b"h2").await;
            let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
            let driver = tokio::spawn(connection);
            let (response, mut body) = client.send_request(call(answer).body(()).unwrap(), false).expect("a stream");
            body.send_data("{}".into(), true).unwrap();
            slow.hears("asked").await;
            if whole_connection {
                driver.abort();
                let _gone = driver.await;
            } else {
                body.send_reset(h2::Reason::CANCEL);
            }
            until("it goes on alone", || server.underway.unheard() == 1).await;
            slow.go.send(()).unwrap();
            slow.hears("done").await;
            until("nothing is under way", || server.underway.count() == 0).await;
            drop((client, response));
        }
    }
    assert_eq!(slow.upstream.connections(), 1, "the upstream's connection is as good as before");

    let stream = crate::edge_tls::connect(server.address, &authority, b"h2").await;
    let (mut client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let modern = call("json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "t");
    let (_response, mut body) = client.send_request(modern.body(()).unwrap(), false).expect("a stream");
    body.send_data("{}".into(), true).unwrap();
    slow.hears("asked").await;
    body.send_reset(h2::Reason::CANCEL);
    slow.hears("left alone").await;
    until("nothing is under way", || server.underway.count() == 0).await;
    driver.abort();
}

/// Over TLS a client may be gone without a word, which is an error and no end.
#[tokio::test]
async fn a_client_that_is_gone_without_a_word_over_tls_has_left_too() {
    let mut slow = Slow::start().await;
    let (server, authority) = crate::edge_tls::serve(&slow.upstream).await;
    let token = server.store.issue("ada", "c", "a", "https://gw.example/mcp/a", "mcp:tools");
    let mut connection = Connection::over(crate::edge_tls::connect(server.address, &authority, b"http/1.1").await);
    connection.send(&Request::post("/mcp/a?json").host("gw.example").bearer(&token)).await;
    slow.hears("asked").await;
    drop(connection);
    until("it goes on alone", || server.underway.unheard() == 1).await;
    slow.go.send(()).unwrap();
    slow.hears("done").await;
    until("nothing is under way", || server.underway.count() == 0).await;
}

#[tokio::test]
async fn the_log_says_that_the_client_left_what_was_seen_through() {
    let mut slow = Slow::start().await;
    let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
    let output = Arc::clone(&lines);
    let write = move |more: &mut Vec<u8>| output.lock().unwrap().append(more);
    let settings = Settings { log: Some((sallyport::telemetry::Format::Json, Box::new(write))), ..Settings::default() };
    let edge = TestEdge::builder().route("a", &slow.upstream.url()).telemetry(settings).start().await;
    drop(ask(&edge, &mut slow, Request::post("/mcp/a?json")).await);
    until("it goes on alone", || edge.underway.unheard() == 1).await;
    slow.go.send(()).unwrap();
    slow.hears("done").await;
    until("nothing is under way", || edge.underway.count() == 0).await;
    edge.telemetry.flush();
    let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.lines().last().expect("a line")).unwrap();
    assert_eq!(
        (line["outcome"].as_str(), line["reasonCode"].as_str()),
        (Some("cancelled"), Some("client_disconnected")),
        "{line}"
    );
}
