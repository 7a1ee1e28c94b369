//! One line for each exchange, which says what happened and nothing that nobody may know.

use std::{
    io,
    sync::{Arc, Mutex},
};

use sallyport::telemetry::{Format, Settings};
use serde_json::{Value, json};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::support::{
    Request, TestEdge, Upstream,
    credentials::{ENDED, UNAVAILABLE, UNCONNECTED},
};

/// What was logged by one test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Lines {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Records everything that this thread logs, at every level that our own modules have.
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_env_filter(EnvFilter::new("sallyport=trace"))
            .with_writer(self.clone())
            .finish();
        tracing::subscriber::set_default(lines)
    }

    /// What telemetry writes goes to the same place.
    fn settings(&self) -> Settings {
        let lines = Arc::clone(&self.0);
        let output = move |more: &mut Vec<u8>| lines.lock().unwrap().append(more);
        Settings { log: Some((Format::Json, Box::new(output))), ..Settings::default() }
    }

    fn text(&self, edge: &TestEdge) -> String {
        edge.telemetry.flush();
        String::from_utf8(self.0.lock().unwrap().clone()).expect("text")
    }

    /// The access lines.
    fn access(&self, edge: &TestEdge) -> Vec<Value> {
        let lines: Vec<Value> = self.text(edge).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        lines.into_iter().filter(|line| line["event"].as_str().is_some_and(is_access)).collect()
    }
}

fn is_access(event: &str) -> bool {
    ["mcp_request_accepted", "mcp_request_rejected", "mcp_endpoint_answered"].contains(&event)
}

#[track_caller]
fn expect(line: &Value, fields: &Value) {
    for (name, value) in fields.as_object().expect("an object") {
        assert_eq!(&line[name], value, "{name} of {line}");
    }
}

#[tokio::test]
async fn an_exchange_has_one_line_with_who_what_and_how_it_ended() {
    let lines = Lines::default();
    let _recording = lines.record();
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            if call.head.line.contains("break") {
                call.keep_alive = false;
            } else {
                call.respond("200 OK", "Content-Type: application/json\r\n", b"{}").await;
            }
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).telemetry(lines.settings()).start().await;
    edge.call(Request::post("/mcp/a").header("X-Request-Id", "request-one")).await;
    edge.exchange(Request::post("/mcp/a")).await;
    edge.call(Request::post("/mcp/a?break=1")).await;
    edge.exchange(Request::post("/oauth/token?code=secret-code")).await;

    let access = lines.access(&edge);
    assert_eq!(access.len(), 4, "{access:?}");
    expect(
        &access[0],
        &json!({"event": "mcp_request_accepted", "requestId": "request-one", "operationId": "a",
            "upstreamServerId": "a-upstream", "subjectId": "ada", "clientId": "client-1", "method": "POST",
            "status": 200, "outcome": "success", "bytesSent": 2}),
    );
    assert!(access[0]["latencyMs"].is_u64() && access[0]["upstreamMs"].is_u64());
    expect(
        &access[1],
        &json!({"event": "mcp_request_rejected", "operationId": "a", "status": 401, "outcome": "denied",
            "failureOrigin": "client", "reasonCode": "missing_token", "subjectId": null}),
    );
    expect(
        &access[2],
        &json!({"event": "mcp_request_accepted", "status": 502, "outcome": "failure", "failureOrigin": "upstream",
            "reasonCode": "upstream_broken"}),
    );
    expect(&access[3], &json!({"path": "/oauth/token", "method": "POST", "status": 200, "outcome": "success"}));
}

#[tokio::test]
async fn a_client_that_leaves_is_a_cancelled_exchange_and_no_error() {
    let lines = Lines::default();
    let _recording = lines.record();
    let (left, leaving) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (called, closed) = (Arc::clone(&left), Arc::clone(&leaving));
    let upstream = Upstream::start(move |call| {
        let (called, closed) = (Arc::clone(&called), Arc::clone(&closed));
        Box::pin(async move {
            call.read_body().await;
            called.notify_one();
            call.connection.closed().await;
            call.keep_alive = false;
            closed.notify_one();
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).telemetry(lines.settings()).start().await;
    let mut connection = edge.connect().await;
    let call = Request::post("/mcp/a").header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "ping");
    connection.send(&call.host(&edge.host()).bearer(&edge.token("a"))).await;
    left.notified().await;
    drop(connection);
    leaving.notified().await;
    while lines.access(&edge).is_empty() {
        tokio::task::yield_now().await;
    }
    expect(
        &lines.access(&edge)[0],
        &json!({"event": "mcp_request_accepted", "outcome": "cancelled", "failureOrigin": "client",
            "reasonCode": "client_disconnected"}),
    );
    assert!(!lines.text(&edge).contains("ERROR"));
}

#[tokio::test]
async fn no_line_holds_a_token_a_query_a_session_or_a_body() {
    let lines = Lines::default();
    let _recording = lines.record();
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let status = if call.head.line.contains("refuse") { "401 Unauthorized" } else { "200 OK" };
            call.respond(status, "Mcp-Session-Id: secret-session\r\nSet-Cookie: secret-cookie\r\n", b"secret-answer")
                .await;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).telemetry(lines.settings()).start().await;
    let token = edge.token("a");
    let body = b"{\"secret-argument\":1}";
    for target in
        ["/mcp/a?q=secret-query", "/mcp/a?refuse", "/mcp/a?access_token=secret-query", "/oauth/t?code=secret-query"]
    {
        let request = Request::new("POST", target).header("Cookie", "secret-cookie").body(body);
        edge.exchange(request.clone().bearer(&token)).await;
        edge.exchange(request.bearer("secret-junk-token")).await;
    }
    edge.store.go_down();
    edge.exchange(Request::post("/mcp/a").bearer(&edge.token("a"))).await;
    let text = lines.text(&edge);
    assert!(text.lines().count() > 8, "{text}");
    assert!(!text.contains("secret") && !text.contains(&token) && !text.contains("at_"), "{text}");
}

/// The ticket in the link is as good as a password until it is spent.
#[tokio::test]
async fn a_missing_connection_is_an_outcome_of_its_own_and_its_link_is_in_no_line() {
    let lines = Lines::default();
    let _recording = lines.record();
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            call.respond("401 Unauthorized", "", b"").await;
        })
    })
    .await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).telemetry(lines.settings()).start().await;
    edge.credentials.then(ENDED);
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a-tool","arguments":{"a":"secret-argument"}}}"#;
    for outcome in [UNCONNECTED, Ok("secret-token"), UNAVAILABLE] {
        edge.credentials.set("ada", outcome);
        edge.call(Request::new("POST", "/mcp/a").body(call)).await;
    }
    edge.credentials.set("ada", UNCONNECTED);
    edge.call(Request::new("GET", "/mcp/a")).await;
    edge.call(Request::new("POST", "/mcp/a").body(b"secret-nonsense")).await;

    let access = lines.access(&edge);
    assert_eq!(access.len(), 5, "{access:?}");
    let connect_required = json!({"event": "mcp_request_accepted", "upstreamServerId": "a-upstream", "subjectId": "ada",
        "outcome": "connect_required", "reasonCode": "connect_required", "failureOrigin": null});
    for (index, status) in [(0, 200), (1, 200), (3, 405)] {
        expect(&access[index], &connect_required);
        assert_eq!(access[index]["status"], status);
    }
    expect(
        &access[2],
        &json!({"status": 503, "outcome": "failure", "failureOrigin": "upstream",
            "reasonCode": "credential_unavailable"}),
    );
    expect(
        &access[4],
        &json!({"status": 400, "outcome": "denied", "failureOrigin": "client", "reasonCode": "invalid_request"}),
    );
    let text = lines.text(&edge);
    assert!(!text.contains("secret") && !text.contains("browserTicket") && !text.contains("at_"), "{text}");
}

/// What a call used, how it went, and how the time was split; a tool's own error is no failure of ours.
#[tokio::test]
async fn a_capability_has_an_event_when_it_is_invoked_and_one_when_it_is_done() {
    let lines = Lines::default();
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            let body = String::from_utf8(call.read_body().await).unwrap();
            let answer: &[u8] = if body.contains("failing") {
                br#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#
            } else {
                br#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#
            };
            call.respond("200 OK", "Content-Type: application/json\r\n", answer).await;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).telemetry(lines.settings()).start().await;
    for tool in ["working", "failing"] {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}).to_string();
        edge.call(Request::new("POST", "/mcp/a").header("X-Request-Id", "request-one").body(body.as_bytes())).await;
    }
    let list = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    edge.call(Request::new("POST", "/mcp/a").body(list)).await;

    let text = lines.text(&edge);
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let call = ["mcp_capability_invoked", "mcp_request_accepted", "mcp_capability_completed"];
    assert_eq!(names, [&call[..], &call[..], &["mcp_request_accepted"]].concat());
    let about = json!({"requestId": "request-one", "operationId": "a", "upstreamServerId": "a-upstream",
        "subjectId": "ada", "clientId": "client-1", "mcpMethod": "tools/call", "capabilityName": "working"});
    expect(&events[0], &about);
    expect(&events[2], &about);
    assert!(events[2]["latencyMs"].is_u64() && events[2]["gatewayMs"].is_u64() && events[2]["upstreamMs"].is_u64());
    for (index, outcome) in [(1, "success"), (2, "success"), (4, "application_error"), (5, "application_error")] {
        assert_eq!(events[index]["outcome"], outcome, "{}", events[index]);
    }
    assert_eq!(events[6]["mcpMethod"], "tools/list");
}
