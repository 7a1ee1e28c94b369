//! The capability filter: what clients ask for.

use sallyport::{
    mcp::filter::{Kind, Projection},
    policy::{Capabilities, Capability, Policy},
};
use serde_json::{Value, json};

use crate::support::{Answer, Request, TestEdge, Upstream};

/// A capability as the upstream describes it.
pub fn item(key: &str) -> Capability {
    Capability { key: key.to_owned(), ..Capability::default() }
}

/// A policy that shows one tool, one prompt, one resource and one template.
pub fn policy() -> Policy {
    let mut capabilities = Capabilities::new(None);
    let described = Projection { description: Some("\"Ours.\"".to_owned()), ..Projection::default() };
    capabilities.show(Kind::Tool, [Capability { projection: described, ..item("echo") }]);
    capabilities.show(Kind::Prompt, [item("greet")]);
    capabilities.show(Kind::Resource, [item("a:///shown")]);
    capabilities.show(Kind::ResourceTemplate, [item("t:///{id}")]);
    Policy { capabilities: Some(capabilities), ..Policy::default() }
}

/// A POST of one request of the legacy era.
pub fn post(method: &str, params: &Value) -> Request {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    Request::post("/mcp/a")
        .header("Content-Type", "application/json")
        .header("Accept", "application/json, text/event-stream")
        .body(body.to_string().as_bytes())
}

async fn call(edge: &TestEdge, method: &str, params: Value) -> Answer {
    edge.call(post(method, &params)).await
}

/// MCP, server features: an unknown tool or prompt is -32602, an unknown resource -32002.
#[tokio::test]
async fn what_is_hidden_gets_the_answer_of_the_unknown_and_goes_nowhere() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    for (method, params, code) in [
        ("tools/call", json!({"name": "NAME", "arguments": {}}), -32602),
        ("prompts/get", json!({"name": "NAME"}), -32602),
        ("resources/read", json!({"uri": "NAME"}), -32002),
        ("resources/subscribe", json!({"uri": "NAME"}), -32002),
        ("resources/unsubscribe", json!({"uri": "NAME"}), -32002),
        ("completion/complete", json!({"ref": {"type": "ref/prompt", "name": "NAME"}, "argument": {}}), -32602),
        ("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "NAME"}, "argument": {}}), -32602),
    ] {
        let mut seen = Vec::new();
        for name in ["a:///hidden", "a:///no-such"] {
            let params = serde_json::from_str(&params.to_string().replace("NAME", name)).unwrap();
            let answer = call(&edge, method, params).await;
            assert_eq!((answer.status(), answer.get("content-type")), (200, Some("application/json")), "{method}");
            assert_eq!(answer.json()["error"]["code"], json!(code), "{method}");
            assert_eq!(answer.json()["id"], json!(1));
            let mut names = answer.head.names();
            names.sort();
            seen.push((answer.text().replace(name, "NAME"), names));
        }
        assert_eq!(seen[0], seen[1], "{method}");
    }
    assert_eq!(upstream.calls().len(), 0);
    for (method, status) in [("tasks/list", 200), ("example/method", 200)] {
        let answer = call(&edge, method, json!({})).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (status, &json!(-32601)), "{method}");
    }
    assert_eq!(upstream.calls().len(), 0);
}

#[tokio::test]
async fn what_is_shown_reaches_the_upstream_byte_for_byte() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    for (method, params) in [
        ("tools/call", json!({"name": "echo", "arguments": {"name": "a:///hidden", "text": "x".repeat(200_000)}})),
        ("prompts/get", json!({"name": "greet"})),
        ("resources/read", json!({"uri": "a:///shown"})),
        ("resources/read", json!({"uri": "t:///42"})),
        ("completion/complete", json!({"ref": {"type": "ref/resource", "uri": "t:///{id}"}, "argument": {}})),
        ("initialize", json!({"protocolVersion": "2025-11-25"})),
    ] {
        let request = post(method, &params).header("Accept-Encoding", "gzip").header("Mcp-Name", "hidden");
        assert_eq!(edge.call(request).await.status(), 200, "{method}");
        let recorded = upstream.calls().pop().unwrap();
        let sent: Value = serde_json::from_slice(&recorded.body).unwrap();
        assert_eq!((&sent["method"], &sent["params"]), (&json!(method), &params));
        // An answer must come uncoded, and no header speaks beside a body of the legacy era.
        assert_eq!((recorded.head.get("accept-encoding"), recorded.head.get("mcp-name")), (None, None));
    }
    let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    edge.call(Request::post("/mcp/a").body(notification)).await;
    assert_eq!(upstream.calls().pop().unwrap().body, notification);
}

/// Two parsers that read one body differently are a way around the filter.
#[tokio::test]
async fn a_body_of_two_meanings_is_refused() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    for body in [
        &br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"hidden"}}"#[..],
        br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","Name":"hidden"}}"#,
        br#"{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call","params":{"name":"hidden"}}"#,
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\xff\"}}",
        br#"{"jsonrpc":"2.0","id":1,"method":"ping"} {"method":"tools/call"}"#,
        b"",
        b"{",
    ] {
        let answer = edge.call(Request::post("/mcp/a").body(body)).await;
        assert_eq!(answer.status(), 400, "{}", String::from_utf8_lossy(body));
        assert!(answer.json().get("id").is_none());
    }
    assert_eq!(upstream.calls().len(), 0);
}

/// 2025-03-26: one hidden call blocks its batch; no other revision has batches.
#[tokio::test]
async fn one_hidden_call_blocks_the_whole_batch() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let batch = |second: &str| {
        format!(
            r#"[{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo"}}}},
                {{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{{"name":"{second}"}}}}]"#
        )
    };
    let answer = edge.call(Request::post("/mcp/a").body(batch("hidden").as_bytes())).await;
    let answers = answer.json();
    assert_eq!((answer.status(), answers.as_array().unwrap().len()), (200, 2));
    assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!(1), &json!(-32600)));
    assert_eq!((&answers[1]["id"], &answers[1]["error"]["code"]), (&json!("x"), &json!(-32602)));
    for version in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        let request = Request::post("/mcp/a").header("MCP-Protocol-Version", version);
        assert_eq!(edge.call(request.body(batch("echo").as_bytes())).await.status(), 400, "{version}");
    }
    assert_eq!(upstream.calls().len(), 0);
    for version in [None, Some("2025-03-26")] {
        let request = Request::post("/mcp/a").body(batch("echo").as_bytes());
        let request = match version {
            Some(version) => request.header("MCP-Protocol-Version", version),
            None => request,
        };
        assert_eq!(edge.call(request).await.status(), 200);
    }
    assert_eq!(upstream.calls().len(), 2);
}

const V: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
const M: (&str, &str) = ("Mcp-Method", "tools/call");

/// MCP 2026-07-28, Streamable HTTP: -32020 for what disagrees, -32022 for what is not spoken.
#[tokio::test]
async fn in_the_modern_era_headers_and_body_agree() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let body = |version: &str, name: &str| {
        json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "_meta": {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {}}}})
    };
    let send = async |headers: &[(&str, &str)], body: &Value| {
        let request =
            headers.iter().fold(Request::post("/mcp/a"), |request, (name, value)| request.header(name, value));
        edge.call(request.body(body.to_string().as_bytes())).await
    };
    for (headers, body, status, code) in [
        (&[V, M, ("Mcp-Name", "hidden")][..], body("2026-07-28", "echo"), 400, -32020),
        (&[V, M, ("Mcp-Name", "echo")], body("2026-07-28", "hidden"), 400, -32020),
        (&[V, M], body("2026-07-28", "echo"), 400, -32020),
        (&[V, ("Mcp-Name", "echo")], body("2026-07-28", "echo"), 400, -32020),
        (&[M, ("Mcp-Name", "echo")], body("2026-07-28", "echo"), 400, -32020),
        (&[("MCP-Protocol-Version", "2025-11-25"), M, ("Mcp-Name", "echo")], body("2026-07-28", "hidden"), 400, -32020),
        (&[("MCP-Protocol-Version", "2027-01-01"), M, ("Mcp-Name", "echo")], body("2027-01-01", "echo"), 400, -32022),
        (&[V, M, ("Mcp-Name", "hidden")], body("2026-07-28", "hidden"), 200, -32602),
    ] {
        let answer = send(headers, &body).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (status, &json!(code)), "{headers:?}");
        assert_eq!(answer.json()["id"], json!(7));
    }
    let removed = json!({"jsonrpc": "2.0", "id": 7, "method": "resources/subscribe", "params": {"uri": "a:///shown"}});
    assert_eq!(send(&[V, ("Mcp-Method", "resources/subscribe")], &removed).await.status(), 404);
    assert_eq!(upstream.calls().len(), 0);
    assert_eq!(send(&[V, M, ("Mcp-Name", "echo")], &body("2026-07-28", "echo")).await.status(), 200);
    assert_eq!(upstream.only_call().head.get("mcp-name"), Some("echo"));
}

/// MCP 2026-07-28, Streamable HTTP: who does not know a tool's schema does not recognise its parameters' headers, and
/// passes them on as they are. In the older eras they mean nothing and stay here.
#[tokio::test]
async fn headers_of_parameters_are_for_the_server_to_compare() {
    let upstream = Upstream::start(|call| {
        Box::pin(async move {
            call.read_body().await;
            let error = br#"{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"message":"Mcp-Param-Region"}}"#;
            call.respond("400 Bad Request", "Content-Type: application/json\r\n", error).await;
        })
    })
    .await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    for region in ["us", "eu", "=?base64?not valid!?="] {
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
            "name": "echo", "arguments": {"region": "eu"}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {}}}});
        let modern = [V, M, ("Mcp-Name", "echo"), ("Mcp-Param-Region", region)];
        let request = modern.iter().fold(Request::post("/mcp/a"), |request, (name, value)| request.header(name, value));
        let answer = edge.call(request.body(body.to_string().as_bytes())).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(-32020)), "{region}");
        let seen = upstream.calls().pop().unwrap();
        assert_eq!(seen.head.get("mcp-param-region"), Some(region));
    }
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "echo"}});
    let legacy = Request::post("/mcp/a").header("MCP-Protocol-Version", "2025-11-25").header("Mcp-Param-Region", "us");
    edge.call(legacy.body(body.to_string().as_bytes())).await;
    assert_eq!(upstream.calls().pop().unwrap().head.get("mcp-param-region"), None);
}

/// MCP 2026-07-28, subscriptions: hidden URIs are as good as unknown ones.
#[tokio::test]
async fn a_subscription_takes_hidden_uris_nowhere() {
    let upstream = Upstream::json().await;
    let edge = TestEdge::builder().route("a", &upstream.url()).policy("a", policy()).start().await;
    let body = json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true, "resourceSubscriptions": ["a:///hidden", "a:///shown", "t:///1/2"]},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                  "io.modelcontextprotocol/clientCapabilities": {}}}});
    let request = Request::post("/mcp/a")
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "subscriptions/listen");
    edge.call(request.body(body.to_string().as_bytes())).await;
    let recorded = upstream.only_call();
    let sent: Value = serde_json::from_slice(&recorded.body).unwrap();
    assert_eq!(
        sent["params"]["notifications"],
        json!({"toolsListChanged": true, "resourceSubscriptions": ["a:///shown"]})
    );
    assert_eq!(recorded.head.get("content-length"), Some(&*recorded.body.len().to_string()));
}
