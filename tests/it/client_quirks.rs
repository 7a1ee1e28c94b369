//! What real clients say in MCP that they should not say, or not so; `tests/flow/quirks.rs` has what they do in OAuth.

use serde_json::{Value, json};

use crate::{
    filter_requests::policy,
    support::{Request, TestEdge, Upstream, credentials::UNCONNECTED},
};

fn post(body: &Value) -> Request {
    Request::post("/mcp/a").header("Content-Type", "application/json").body(body.to_string().as_bytes())
}

fn initialize(capabilities: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": "2025-11-25",
           "capabilities": capabilities, "clientInfo": {"name": "c", "version": "1"}}})
}

/// Copilot asks `server/discover` before a handshake of the legacy era, and has been seen to repeat that probe's
/// `Mcp-Method` on what follows (agentgateway#3439). Harmless: the header has a meaning in the modern era alone. Of a
/// legacy message only the body counts, for the filter too, so that the header hides nothing and shows nothing.
#[tokio::test]
async fn a_probe_of_the_modern_era_does_not_stand_in_the_way_of_a_legacy_handshake() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let probe = json!({"jsonrpc": "2.0", "id": "d", "method": "server/discover"});
    let stale = |body: &Value| post(body).header("Mcp-Method", "server/discover").header("Mcp-Name", "echo");
    let shown = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "echo"}});
    for body in [&probe, &initialize(&json!({})), &shown] {
        assert_eq!(edge.call(stale(body)).await.status(), 200, "{body}");
    }
    let bodies: Vec<Value> = upstream.calls().iter().map(|call| serde_json::from_slice(&call.body).unwrap()).collect();
    assert_eq!(bodies, [probe, initialize(&json!({})), shown], "all went where they belong, as they were");

    let hidden = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "hidden"}});
    assert_eq!(edge.call(stale(&hidden)).await.json()["error"]["code"], -32602);
    assert_eq!(upstream.calls().len(), 3, "a header made a hidden tool reachable");
}

/// The same without the upstream: such a probe learns that there is no such method, upon which a client of both eras
/// shakes hands. An answer that asks to connect would end it there.
#[tokio::test]
async fn a_legacy_probe_for_discovery_falls_back_to_the_handshake_without_the_upstream() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    edge.credentials.set("ada", UNCONNECTED);
    let probe = json!({"jsonrpc": "2.0", "id": "d", "method": "server/discover"});
    let answer = edge.call(post(&probe).header("Mcp-Method", "server/discover")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!((&answer.json()["id"], &answer.json()["error"]["code"]), (&json!("d"), &json!(-32601)));
    let answer = edge.call(post(&initialize(&json!({}))).header("Mcp-Method", "server/discover")).await;
    assert_eq!((answer.status(), &answer.json()["result"]["protocolVersion"]), (200, &json!("2025-11-25")));
    assert_eq!(upstream.connections(), 0);
}

/// Claude Code can open links, and declares it wrongly (jarvis-registry#572): up to 2025-11-25 every client gets the
/// link. Harmless: it opens to nobody but the person whose client asked. From 2026-07-28 on, where the declaration
/// decides, the tool to connect has the link in words (`a_client_that_cannot_show_a_url_is_told_so`).
#[tokio::test]
async fn a_wrong_declaration_of_elicitation_hides_no_link() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().connected_route("a", &upstream.url()).start().await;
    edge.credentials.set("ada", UNCONNECTED);
    for declared in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"url": true}}),
        json!({"elicitation": ["url"]}),
        json!({"experimental": {"elicitation": {"url": {}}}}),
    ] {
        let opened = edge.call(post(&initialize(&declared))).await;
        let session = opened.get("mcp-session-id").expect("a session").to_owned();
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo"}});
        let answer = edge.call(post(&call).header("Mcp-Session-Id", &session)).await;
        let error = &answer.json()["error"];
        assert_eq!(error["code"], -32042, "{declared}");
        let link = error["data"]["elicitations"][0]["url"].as_str().expect("a link");
        assert!(link.starts_with(&format!("{}/auth/connections/a-upstream/connect?", edge.origin())), "{link}");
    }
    assert_eq!(upstream.connections(), 0);
}
