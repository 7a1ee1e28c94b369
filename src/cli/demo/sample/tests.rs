use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SampleRequest, SampleResponse, answer};

const MODERN: &str = "2026-07-28";

fn post(headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> SampleResponse {
    send(Method::POST, headers, body)
}

fn send(method: Method, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> SampleResponse {
    let mut map = HeaderMap::new();
    map.insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    answer(&SampleRequest { method, headers: map, body: body.into().into() })
}

fn document(response: &SampleResponse) -> Value {
    assert_eq!(response.headers["content-type"], "application/json");
    serde_json::from_slice(&response.body).unwrap()
}

fn legacy(method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let response = post(&[("mcp-protocol-version", "2025-11-25")], request.to_string());
    assert_eq!(response.status, StatusCode::OK);
    let document = document(&response);
    assert_eq!(document["id"], 7);
    document
}

fn modern_body(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": "m-1", "method": method, "params": params})
}

fn modern(method: &str, params: Value) -> (StatusCode, Value) {
    let name = params["name"].as_str().unwrap_or("").to_owned();
    let mut headers = vec![("mcp-protocol-version", MODERN), ("mcp-method", method)];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    let response = post(&headers, modern_body(method, params).to_string());
    (response.status, document(&response))
}

fn refused(headers: &[(&str, &str)], body: &Value) -> (u16, i64) {
    let response = post(headers, body.to_string());
    (response.status.as_u16(), document(&response)["error"]["code"].as_i64().unwrap())
}

/// Lifecycle of 2025-11-25: the requested version if it is known, else another one.
#[test]
fn a_handshake_agrees_on_the_version_or_offers_the_newest_legacy_one() {
    for (requested, agreed) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": requested, "capabilities": {}, "clientInfo": {"name": "t", "version": "0"}}});
        let response = post(&[], request.to_string());
        let result = &document(&response)["result"];
        assert_eq!(result["protocolVersion"], agreed);
        assert!(result["capabilities"]["tools"].is_object());
        assert_eq!(result["serverInfo"]["name"], "sallyport-sample");
        assert!(!response.headers.contains_key("mcp-session-id"));
    }
    assert_eq!(legacy("initialize", json!({}))["error"]["code"], -32602);
}

#[test]
fn a_legacy_notification_or_response_is_accepted_without_a_body() {
    for body in [
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
    ] {
        let response = post(&[], body.to_string());
        assert_eq!((response.status, response.body.len()), (StatusCode::ACCEPTED, 0));
    }
}

#[test]
fn legacy_ping_answers_and_an_unknown_method_is_not_found() {
    assert_eq!(legacy("ping", json!({}))["result"], json!({}));
    assert_eq!(legacy("server/discover", json!({}))["error"]["code"], -32601);
    assert_eq!(legacy("resources/list", json!({}))["error"]["code"], -32601);
}

/// Transports of 2025-11-25: an unknown version in the header is a bad request.
#[test]
fn a_version_that_no_era_knows_is_a_bad_request() {
    for version in ["2024-01-01", "latest", ""] {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        assert_eq!(refused(&[("mcp-protocol-version", version)], &request), (400, -32600));
    }
}

#[test]
fn a_batch_is_answered_in_2025_03_26_and_nowhere_else() {
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "nothing"},
        {"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}},
        17,
    ]);
    let answers = document(&post(&[], batch.to_string()));
    let codes: Vec<_> = answers.as_array().unwrap().iter().map(|one| (&one["id"], &one["error"]["code"])).collect();
    assert_eq!(
        codes,
        [
            (&json!(1), &Value::Null),
            (&json!(2), &json!(-32601)),
            (&json!(3), &json!(-32600)),
            (&Value::Null, &json!(-32600)),
        ]
    );
    for version in ["2025-06-18", "2025-11-25", MODERN] {
        assert_eq!(refused(&[("mcp-protocol-version", version)], &batch), (400, -32600));
    }
    assert_eq!(refused(&[], &json!([])), (400, -32600));
    let silent = post(&[], json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]).to_string());
    assert_eq!((silent.status, silent.body.len()), (StatusCode::ACCEPTED, 0));
}

#[test]
fn a_body_that_is_no_message_is_a_bad_request_without_an_id() {
    let garbled = post(&[], "{");
    assert_eq!(garbled.status, StatusCode::BAD_REQUEST);
    assert_eq!(document(&garbled)["error"]["code"], -32700);
    for body in [
        json!("text"),
        json!({}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": null, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1.5, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": 5}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}),
        json!({"jsonrpc": "2.0", "id": 1}),
    ] {
        let response = post(&[], body.to_string());
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{body}");
        let document = document(&response);
        assert_eq!((&document["error"]["code"], document.get("id")), (&json!(-32600), None));
    }
}

#[test]
fn only_post_of_json_is_served() {
    for method in [Method::GET, Method::DELETE, Method::PUT, Method::HEAD] {
        let response = send(method, &[], "");
        assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers["allow"], "POST");
    }
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("text/plain"));
    let response = answer(&SampleRequest { method: Method::POST, headers, body: "{}".into() });
    assert_eq!(response.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// Transports of both eras: a foreign origin is refused on every method (DNS rebinding).
#[test]
fn a_foreign_origin_or_host_is_forbidden() {
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1.evil.example"),
        ("host", "evil.example"),
        ("host", "localhost.evil.example:9000"),
        ("host", "10.0.0.1"),
    ] {
        assert_eq!(post(&[(name, value)], ping.clone()).status, StatusCode::FORBIDDEN, "{value}");
        assert_eq!(send(Method::GET, &[(name, value)], "").status, StatusCode::FORBIDDEN, "{value}");
    }
    for (name, value) in [
        ("origin", "http://localhost:6274"),
        ("origin", "http://[::1]:6274"),
        ("host", "127.0.0.1:9000"),
        ("host", "[::1]:9000"),
        ("host", "LocalHost"),
    ] {
        assert_eq!(post(&[(name, value)], ping.clone()).status, StatusCode::OK, "{value}");
    }
}

#[test]
fn discover_says_versions_capabilities_and_how_long_that_holds() {
    let (status, document) = modern("server/discover", json!({}));
    assert_eq!((status, &document["id"]), (StatusCode::OK, &json!("m-1")));
    let result = &document["result"];
    assert_eq!(result["supportedVersions"], json!([MODERN]));
    assert!(result["capabilities"]["tools"].is_object());
    assert_eq!((&result["resultType"], &result["cacheScope"]), (&json!("complete"), &json!("public")));
    assert!(result["ttlMs"].as_u64().is_some());
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "sallyport-sample");
}

#[test]
fn both_eras_list_the_same_tools_and_only_the_modern_one_says_how_long() {
    let old = legacy("tools/list", json!({}));
    let (_, new) = modern("tools/list", json!({}));
    assert_eq!(old["result"]["tools"], new["result"]["tools"]);
    assert_eq!(old["result"].as_object().unwrap().len(), 1);
    assert_eq!((&new["result"]["resultType"], &new["result"]["cacheScope"]), (&json!("complete"), &json!("public")));
    let tools = old["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo", "add", "whoami"]);
    for tool in tools {
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(tool["outputSchema"]["type"], "object");
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
    }
    assert_eq!(legacy("tools/list", json!({"cursor": "x"}))["error"]["code"], -32602);
}

/// 2026-07-28: an unknown method, `initialize` and `ping` among them, is 404 with the id.
#[test]
fn a_modern_request_for_a_removed_or_unknown_method_is_not_found() {
    for method in ["initialize", "ping", "logging/setLevel", "subscriptions/listen", "nothing"] {
        let (status, document) = modern(method, json!({}));
        assert_eq!((status, &document["error"]["code"]), (StatusCode::NOT_FOUND, &json!(-32601)), "{method}");
        assert_eq!(document["id"], "m-1");
    }
}

/// 2026-07-28: version and capabilities belong into `_meta`; who the client is does not have to be there.
#[test]
fn a_modern_request_without_its_meta_is_a_bad_request() {
    let headers = [("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")];
    let whole = modern_body("tools/list", json!({}));
    for key in ["io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientCapabilities"] {
        let mut body = whole.clone();
        body["params"]["_meta"].as_object_mut().unwrap().remove(key);
        assert_eq!(refused(&headers, &body), (400, -32602), "{key}");
    }
    let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    assert_eq!(refused(&headers, &bare), (400, -32602));
}

/// 2026-07-28, server validation: headers and body say the same, or nothing happens.
#[test]
fn a_modern_request_whose_headers_disagree_with_the_body_is_refused() {
    let call = modern_body("tools/call", json!({"name": "echo", "arguments": {"text": "x"}}));
    let version = ("mcp-protocol-version", MODERN);
    let method = ("mcp-method", "tools/call");
    let name = ("mcp-name", "echo");
    let attacks: [&[(&str, &str)]; 12] = [
        &[method, name],
        &[("mcp-protocol-version", "2025-11-25"), method, name],
        &[("mcp-protocol-version", "2026-07-29"), method, name],
        &[version, name],
        &[version, ("mcp-method", "tools/list"), name],
        &[version, ("mcp-method", "TOOLS/CALL"), name],
        &[version, method],
        &[version, method, ("mcp-name", "add")],
        &[version, method, ("mcp-name", "=?base64?ZWNobw?=")],
        &[version, method, ("mcp-name", "=?BASE64?ZWNobw==?=")],
        &[version, method, name, ("mcp-name", "add")],
        &[version, method, ("mcp-method", "tools/list"), name],
    ];
    for headers in attacks {
        assert_eq!(refused(headers, &call), (400, -32020), "{headers:?}");
    }
    for same in ["echo", "  echo ", "=?base64?ZWNobw==?="] {
        assert_eq!(post(&[version, method, ("Mcp-Name", same)], call.to_string()).status, StatusCode::OK, "{same}");
    }
}

/// 2026-07-28, version negotiation: the error names what is supported and what was asked for.
#[test]
fn an_unsupported_modern_version_is_refused_with_the_supported_ones() {
    let mut body = modern_body("tools/list", json!({}));
    body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    let headers = [("mcp-protocol-version", "2099-01-01"), ("mcp-method", "tools/list")];
    let response = post(&headers, body.to_string());
    assert_eq!(response.status, StatusCode::BAD_REQUEST);
    let error = &document(&response)["error"];
    assert_eq!(error["code"], -32022);
    assert_eq!(error["data"], json!({"supported": [MODERN], "requested": "2099-01-01"}));
}

#[test]
fn modern_takes_notifications_but_no_responses() {
    let version = [("mcp-protocol-version", MODERN)];
    let notification = post(&version, json!({"jsonrpc": "2.0", "method": "notifications/x"}).to_string());
    assert_eq!((notification.status, notification.body.len()), (StatusCode::ACCEPTED, 0));
    assert_eq!(refused(&version, &json!({"jsonrpc": "2.0", "id": 1, "result": {}})), (400, -32600));
}

#[test]
fn echo_and_add_answer_with_text_and_structure() {
    let echo = legacy("tools/call", json!({"name": "echo", "arguments": {"text": "grüezi"}}));
    assert_eq!(echo["result"]["structuredContent"], json!({"text": "grüezi"}));
    assert_eq!(echo["result"]["content"][0]["text"], "{\"text\":\"grüezi\"}");
    let (status, add) = modern("tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 0.5}}));
    assert_eq!((status, &add["result"]["structuredContent"]), (StatusCode::OK, &json!({"sum": 2.5})));
    assert_eq!(add["result"]["resultType"], "complete");
    let whole = legacy("tools/call", json!({"name": "add", "arguments": {"a": 2, "b": 40}}));
    assert_eq!(whole["result"]["structuredContent"]["sum"].as_i64(), Some(42));
    let wide = legacy("tools/call", json!({"name": "add", "arguments": {"a": i64::MAX, "b": i64::MAX}}));
    assert_eq!(wide["result"]["structuredContent"]["sum"].as_f64(), Some(18_446_744_073_709_551_614.0));
}

#[test]
fn wrong_arguments_are_the_tools_error_and_an_unknown_tool_is_the_protocols() {
    for arguments in [json!({}), json!({"text": 5})] {
        let result = legacy("tools/call", json!({"name": "echo", "arguments": arguments}));
        assert_eq!(result["result"]["isError"], true);
    }
    let huge = legacy("tools/call", json!({"name": "add", "arguments": {"a": f64::MAX, "b": f64::MAX}}));
    assert_eq!(huge["result"]["isError"], true);
    assert_eq!(legacy("tools/call", json!({"name": "rm"}))["error"]["code"], -32602);
    assert_eq!(legacy("tools/call", json!({"name": "echo", "arguments": []}))["error"]["code"], -32602);
    assert_eq!(legacy("tools/call", json!({}))["error"]["code"], -32602);
    let (status, unknown) = modern("tools/call", json!({"name": "rm"}));
    assert_eq!((status, &unknown["error"]["code"]), (StatusCode::BAD_REQUEST, &json!(-32602)));
}

#[test]
fn whoami_names_headers_and_never_their_values() {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami"}});
    let response = post(&[("authorization", "Bearer at_secret"), ("x-api-key", "hunter2")], call.to_string());
    let text = String::from_utf8(response.body.clone()).unwrap();
    assert!(!text.contains("secret") && !text.contains("hunter2"));
    let seen = &document(&response)["result"]["structuredContent"];
    assert_eq!(seen["headers"], json!(["authorization", "content-type", "x-api-key"]));
    assert_eq!(seen["authorization"], true);
    let without = document(&post(&[], call.to_string()));
    assert_eq!(without["result"]["structuredContent"]["authorization"], false);
}

proptest! {
    #[test]
    fn any_body_under_any_version_gets_an_answer(body in any::<Vec<u8>>(), version in "[ -~]{0,20}") {
        let response = post(&[("mcp-protocol-version", &version)], body);
        prop_assert!(response.status.is_success() || response.status.is_client_error());
    }
}
