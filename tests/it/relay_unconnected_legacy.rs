//! What a client of the legacy era gets while its upstream is not connected, and what happens when it is.

use serde_json::json;

use crate::support::{
    Answer, Request, TestEdge, Upstream,
    credentials::{ADMINS_ONLY, ENDED, Outcome, UNCONNECTED},
};

async fn unconnected() -> (Upstream, TestEdge) {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    (upstream, edge)
}

fn post(body: &str) -> Request {
    Request::post("/mcp/a").header("MCP-Protocol-Version", "2025-11-25").body(body.as_bytes())
}

fn link(edge: &TestEdge) -> String {
    format!("{}/auth/connections/a-upstream/connect?browserTicket=t1&operationId=a", edge.origin())
}

fn connect_required(edge: &TestEdge, id: &str, state: &str, message: &str) -> String {
    let url = link(edge);
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32042,"message":"{message}","data":{{"state":"{state}","#)
        + &format!(r#""upstreamServerId":"a-upstream","operationId":"a","authUrl":"{url}","nextAction":"redirect","#)
        + r#""authProfileId":"a-upstream:user-oauth","elicitations":[{"mode":"url","elicitationId":"elicitation-1","#
        + &format!(r#""url":"{url}","message":"{message}"}}]}}}}}}"#)
}

#[track_caller]
fn expect_json(answer: &Answer, body: &str) {
    assert_eq!((answer.status(), answer.get("content-type")), (200, Some("application/json")));
    assert_eq!(answer.text(), body);
    assert_eq!((answer.get("cache-control"), answer.get("www-authenticate")), (Some("no-store"), None));
}

/// MCP 2025-11-25, elicitation: error -32042 with `elicitations`; JSON-RPC 2.0 section 5: the id with its type.
#[tokio::test]
async fn a_call_gets_the_error_of_url_elicitation() {
    let (upstream, edge) = unconnected().await;
    let states: [(Outcome, &str, &str); 3] = [
        (UNCONNECTED, "authenticating", "Connect a to continue."),
        (ENDED, "reconsent_required", "a authorization must be renewed."),
        (ADMINS_ONLY, "admin_connect_required", "An administrator must connect a before this service is available."),
    ];
    for (outcome, state, message) in states {
        edge.credentials.set("ada", outcome);
        for method in ["tools/call", "prompts/get", "resources/read", "completion/complete", "anything"] {
            for id in ["1", "\"1\"", "9223372036854775808"] {
                let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"name":"x"}}}}"#);
                let answer = edge.call(post(&body)).await;
                expect_json(&answer, &connect_required(&edge, id, state, message));
            }
        }
    }
    let answer = edge.call(Request::post("/mcp/a").body(br#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#)).await;
    assert_eq!(answer.json()["error"]["code"], -32042, "without a version header");
    assert_eq!(upstream.connections(), 0);
}

/// MCP 2025-11-25, lifecycle: the requested version if it is supported, else another one.
#[tokio::test]
async fn a_client_can_start_without_the_upstream() {
    let (upstream, edge) = unconnected().await;
    for (requested, agreed) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-03-26", "2025-03-26"),
        ("2026-07-28", "2025-11-25"),
        ("1999-01-01", "2025-11-25"),
        ("latest", "2025-11-25"),
    ] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{requested}","#)
                + r#""capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#;
        let answer = edge.call(Request::post("/mcp/a").body(body.as_bytes())).await;
        let instructions = format!(
            "Connect a to continue. Until then only the tool `connect` is available; list the tools again afterwards. \
             The link to open: {}",
            link(&edge)
        );
        let expected = format!(
            r#"{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"{agreed}","capabilities":{{"tools":{{"listChanged":false}}}},"#
        ) + &format!(
            r#""serverInfo":{{"name":"a","version":"{}"}},"instructions":"{instructions}"}}}}"#,
            env!("CARGO_PKG_VERSION")
        );
        expect_json(&answer, &expected);
        assert!(answer.get("mcp-session-id").is_some());
    }
    let answer = edge.call(post(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#)).await;
    assert_eq!((&answer.json()["error"]["code"], answer.get("mcp-session-id")), (&json!(-32602), None));

    let initialized = edge.call(post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)).await;
    assert_eq!((initialized.status(), initialized.body.len(), initialized.get("content-type")), (202, 0, None));
    assert_eq!(edge.call(post(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)).await.status(), 202);
    expect_json(
        &edge.call(post(r#"{"jsonrpc":"2.0","id":"p","method":"ping"}"#)).await,
        r#"{"jsonrpc":"2.0","id":"p","result":{}}"#,
    );
    expect_json(
        &edge.call(post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)).await,
        concat!(
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"connect","title":"Connect a","description":"#,
            r#""Connect a to continue. Call this tool to get the link.","inputSchema":{"type":"object","properties":{}}}]}}"#
        ),
    );
    for (method, member) in [
        ("prompts/list", "prompts"),
        ("resources/list", "resources"),
        ("resources/templates/list", "resourceTemplates"),
    ] {
        let answer = edge.call(post(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#))).await;
        expect_json(&answer, &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"{member}":[]}}}}"#));
    }
    let connect =
        edge.call(post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"connect"}}"#)).await;
    expect_json(&connect, &connect_required(&edge, "1", "authenticating", "Connect a to continue."));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn there_is_no_stream_and_a_session_can_be_ended() {
    let (upstream, edge) = unconnected().await;
    let get = edge.call(Request::new("GET", "/mcp/a").header("Accept", "text/event-stream")).await;
    assert_eq!((get.status(), get.get("allow")), (405, Some("POST, DELETE, OPTIONS")));
    assert_eq!(edge.call(Request::new("DELETE", "/mcp/a")).await.status(), 200);
    assert_eq!(upstream.connections(), 0);
}

/// JSON-RPC 2.0 section 5.1; batches are of revision 2025-03-26 alone.
#[tokio::test]
async fn a_body_that_is_not_one_message_is_400() {
    let (upstream, edge) = unconnected().await;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#;
    for (body, code) in [
        ("", -32700),
        ("{", -32700),
        (&*format!("[{call}]"), -32600),
        ("[]", -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, -32600),
    ] {
        let answer = edge.call(post(body)).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(code)), "{body}");
        assert_eq!(answer.json().get("id"), None);
    }
    let large = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}"}}"#, "x".repeat(4 * 1024 * 1024));
    assert_eq!(edge.call(post(&large)).await.status(), 413);
    let modern = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let answer = edge.call(post(modern)).await;
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(-32020)));
    assert_eq!(upstream.connections(), 0);
}

/// MCP Streamable HTTP, session management: 404 ends a session, and the client initializes anew.
#[tokio::test]
async fn a_session_without_the_upstream_ends_when_the_user_has_connected() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let fields = "Content-Type: application/json\r\nMcp-Session-Id: upstream-session\r\n";
            call.respond("200 OK", fields, b"{}").await;
        })
    })
    .await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    let initialize =
        || post(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}"#);
    let opened = edge.call(initialize()).await;
    let session = opened.get("mcp-session-id").expect("a session").to_owned();
    let list = || post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let listed = edge.call(list().header("Mcp-Session-Id", &session)).await;
    assert_eq!(listed.json()["result"]["tools"][0]["name"], "connect");

    edge.credentials.set("ada", Ok("token"));
    edge.credentials.set("bob", Ok("token"));
    for request in [list(), Request::new("GET", "/mcp/a"), Request::new("DELETE", "/mcp/a")] {
        assert_eq!(edge.call(request.header("Mcp-Session-Id", &session)).await.status(), 404);
    }
    assert_eq!(upstream.connections(), 0);
    let opened = edge.call(initialize()).await;
    let own = opened.get("mcp-session-id").expect("a session").to_owned();
    assert_eq!(edge.call(list().header("Mcp-Session-Id", &own)).await.status(), 200);
    assert_eq!(upstream.calls()[1].head.get("mcp-session-id"), Some("upstream-session"));

    edge.credentials.set("bob", UNCONNECTED);
    for stolen in [&session, &own] {
        let request = list().header("Mcp-Session-Id", stolen).bearer(&edge.token_of("bob", "client-1", "a"));
        assert_eq!(edge.exchange(request).await.status(), 404, "a session of somebody else does not exist");
    }
    edge.credentials.set("ada", ENDED);
    let call = post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).header("Mcp-Session-Id", &own);
    let answer = edge.call(call).await;
    expect_json(&answer, &connect_required(&edge, "1", "reconsent_required", "a authorization must be renewed."));
    assert_eq!(upstream.calls().len(), 2);
}

/// MCP authorization: a missing token of ours is a 401, whatever is connected; a missing connection never is.
#[tokio::test]
async fn a_missing_token_comes_before_a_missing_connection() {
    let (upstream, edge) = unconnected().await;
    assert_eq!(edge.exchange(Request::post("/mcp/a")).await.status(), 401);
    assert_eq!(upstream.connections(), 0);
}
