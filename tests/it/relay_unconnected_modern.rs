//! What a client of the modern era gets while its upstream is not connected, and how it comes back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Answer, Request, TestEdge, Upstream,
    credentials::{ENDED, UNCONNECTED},
    upstream::RESULT,
};

const URLS: &str = r#"{"elicitation":{"url":{}}}"#;
const KEY: &str = "sallyport.connect.a-upstream";

async fn unconnected() -> (Upstream, TestEdge) {
    let upstream = Upstream::json().await;
    let edge =
        TestEdge::builder().connected_route("a", &upstream.url()).connected_route("b", &upstream.url()).start().await;
    (upstream, edge)
}

fn link(edge: &TestEdge) -> String {
    format!("{}/auth/connections/a-upstream/connect?browserTicket=t1&operationId=a", edge.origin())
}

/// A request whose headers say what its body says; `members` go in front of `_meta`.
fn modern(route: &str, method: &str, name: &str, members: &str, capabilities: &str) -> Request {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{members}{}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#,
        if members.is_empty() { "" } else { "," },
    );
    let request = Request::post(&format!("/mcp/{route}"))
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", method)
        .body(body.as_bytes());
    if name.is_empty() { request } else { request.header("Mcp-Name", name) }
}

/// A call of the tool `echo`.
fn call(more: &str, capabilities: &str) -> Request {
    let members = format!(r#""name":"echo","arguments":{{"n":1.50,"s":"\u0061"}}{more}"#);
    modern("a", "tools/call", "echo", &members, capabilities)
}

fn back(state: &str, action: &str) -> String {
    format!(r#","inputResponses":{{"{KEY}":{{"action":"{action}"}}}},"requestState":"{state}""#)
}

#[track_caller]
fn state_of(answer: &Answer) -> String {
    assert_eq!((answer.status(), &answer.json()["result"]["resultType"]), (200, &json!("input_required")));
    answer.json()["result"]["requestState"].as_str().expect("a state").to_owned()
}

#[track_caller]
fn expect(answer: &Answer, status: u16, body: &str) {
    assert_eq!((answer.status(), answer.get("content-type")), (status, Some("application/json")));
    assert_eq!(answer.text(), body);
    assert_eq!((answer.get("mcp-session-id"), answer.get("cache-control")), (None, Some("no-store")));
}

#[track_caller]
fn expect_refused(answer: &Answer) {
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(-32602)), "{}", answer.text());
    assert_eq!(answer.json()["id"], 7);
}

/// The parameters of the only request that reached the upstream.
fn params_upstream(upstream: &Upstream) -> String {
    let body = upstream.only_call().body;
    let text = String::from_utf8(body).unwrap();
    let start = text.find(r#""params":"#).expect("parameters") + 9;
    text[start..text.len() - 1].to_owned()
}

/// MCP 2026-07-28, multi round-trip requests: an input-required result, to who can show a URL.
#[tokio::test]
async fn a_call_asks_for_the_persons_input() {
    let (upstream, edge) = unconnected().await;
    for (method, name, members) in [
        ("tools/call", "echo", r#""name":"echo""#),
        ("prompts/get", "p", r#""name":"p""#),
        ("resources/read", "file:///x", r#""uri":"file:///x""#),
        ("tools/call", "connect", r#""name":"connect""#),
    ] {
        let answer = edge.call(modern("a", method, name, members, URLS)).await;
        let state = state_of(&answer);
        let ask = format!(
            r#"{{"{KEY}":{{"method":"elicitation/create","params":{{"mode":"url","url":"{}","message":"Connect a to continue."}}}}}}"#,
            link(&edge)
        );
        expect(
            &answer,
            200,
            &format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"input_required","inputRequests":{ask},"requestState":"{state}"}}}}"#
            ),
        );
    }
    assert_eq!(upstream.connections(), 0);
}

/// MCP 2026-07-28, base protocol: -32021 with what is required; the one tool that gives the link does so in words.
#[tokio::test]
async fn a_client_that_cannot_show_a_url_is_told_so() {
    let (upstream, edge) = unconnected().await;
    for capabilities in ["{}", r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#] {
        let body = concat!(
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32021,"message":"Connect a to continue. This requires URL elicitation.","#,
            r#""data":{"requiredCapabilities":{"elicitation":{"url":{}}}}}}"#
        );
        expect(&edge.call(call("", capabilities)).await, 400, body);
        let connect = modern("a", "tools/call", "connect", r#""name":"connect""#, capabilities);
        let text = format!("Connect a to continue. Open this link in a browser, then go on: {}", link(&edge));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete","content":[{{"type":"text","text":"{text}"}}],"isError":true,{META}}}}}"#
        );
        expect(&edge.call(connect).await, 200, &body);
    }
    assert_eq!(upstream.connections(), 0);
}

const META: &str = concat!(
    r#""_meta":{"io.modelcontextprotocol/serverInfo":{"name":"a","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}}"#
);

/// MCP 2026-07-28: what cannot ask has a defined outcome, and nobody keeps it.
#[tokio::test]
async fn discovery_and_lists_tell_the_truth_and_the_rest_gets_an_error_of_ours() {
    let (upstream, edge) = unconnected().await;
    let end = format!(r#""ttlMs":0,"cacheScope":"private",{META}}}}}"#);
    let begin = r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","#;
    let instructions = format!(
        "Connect a to continue. Until then only the tool `connect` is available; list the tools again afterwards. \
         The link to open: {}",
        link(&edge)
    );
    for (method, result) in [
        (
            "server/discover",
            &*format!(
                r#""supportedVersions":["2026-07-28","2025-11-25","2025-06-18","2025-03-26"],"capabilities":{{"tools":{{}}}},"instructions":"{instructions}","#
            ),
        ),
        (
            "tools/list",
            concat!(
                r#""tools":[{"name":"connect","title":"Connect a","description":"Connect a to continue. Call this tool to get the link.","#,
                r#""inputSchema":{"type":"object","properties":{}}}],"#
            ),
        ),
        ("prompts/list", r#""prompts":[],"#),
        ("resources/list", r#""resources":[],"#),
        ("resources/templates/list", r#""resourceTemplates":[],"#),
    ] {
        expect(&edge.call(modern("a", method, "", "", URLS)).await, 200, &format!("{begin}{result}{end}"));
    }
    for method in ["completion/complete", "subscriptions/listen", "tasks/get", "anything"] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":428,"message":"Connect a to continue.","data":{{"state":"authenticating","upstreamServerId":"a-upstream","authUrl":"{}"}}}}}}"#,
            link(&edge)
        );
        expect(&edge.call(modern("a", method, "", "", URLS)).await, 200, &body);
    }
    assert_eq!(upstream.connections(), 0);
}

/// MCP 2026-07-28, Streamable HTTP: POST only; headers agree with the body; what was removed is not there.
#[tokio::test]
async fn the_rules_of_the_era_hold_without_the_upstream() {
    let (upstream, edge) = unconnected().await;
    for method in ["GET", "DELETE"] {
        let answer = edge.call(Request::new(method, "/mcp/a").header("MCP-Protocol-Version", "2026-07-28")).await;
        assert_eq!((answer.status(), answer.get("allow")), (405, Some("POST, OPTIONS")));
    }
    for method in ["initialize", "ping", "logging/setLevel"] {
        let answer = edge.call(modern("a", method, "", "", URLS)).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
    }
    let other_name = modern("a", "tools/call", "allowed", r#""name":"echo""#, URLS);
    let no_name = modern("a", "tools/call", "", r#""name":"echo""#, URLS);
    let no_version =
        Request::post("/mcp/a").header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "tools/list");
    for (request, code) in [(other_name, -32020), (no_name, -32020), (no_version, -32602)] {
        let answer = edge.call(request).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(code)));
    }
    let headers = || Request::post("/mcp/a").header("MCP-Protocol-Version", "2026-07-28");
    let notification = headers().body(br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    assert_eq!(edge.call(notification).await.status(), 202);
    let response = headers().body(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    assert_eq!(edge.call(response).await.status(), 400);
    assert_eq!(upstream.connections(), 0);
}

/// The retry goes upstream as if nobody had asked, everything else as it was written.
#[tokio::test]
async fn when_the_person_has_connected_the_call_just_works() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    edge.credentials.set("ada", Ok("of-ada"));
    let answer = edge.call(call(&back(&state, "accept"), URLS)).await;
    assert_eq!((answer.status(), answer.text()), (200, RESULT));
    let meta = format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{URLS}}}"#
    );
    let expected = format!(r#"{{"name":"echo","arguments":{{"n":1.50,"s":"\u0061"}},{meta}}}"#);
    assert_eq!(params_upstream(&upstream), expected);
    let seen = upstream.only_call();
    assert_eq!(seen.head.get("authorization"), Some("Bearer of-ada"));
    assert_eq!(seen.head.get("content-length"), Some(&*seen.body.len().to_string()));
}

/// Nothing of it is single-use: it only leads to another look for the connection.
#[tokio::test]
async fn a_person_who_has_not_connected_yet_is_asked_again() {
    let (upstream, edge) = unconnected().await;
    let first = state_of(&edge.call(call("", URLS)).await);
    let second = state_of(&edge.call(call(&back(&first, "accept"), URLS)).await);
    assert_ne!(first, second);
    let without_response = format!(r#","requestState":"{first}""#);
    state_of(&edge.call(call(&without_response, URLS)).await);
    edge.credentials.set("ada", Ok("of-ada"));
    for state in [&first, &second, &first] {
        assert_eq!(edge.call(call(&back(state, "accept"), URLS)).await.text(), RESULT);
    }
    assert_eq!(upstream.calls().len(), 3);
}

/// MCP 2026-07-28, elicitation: decline and cancel are final.
#[tokio::test]
async fn a_person_who_says_no_is_not_asked_again() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    let read = |more: &str| modern("a", "resources/read", "x:y", &format!(r#""uri":"x:y"{more}"#), URLS);
    let read_state = state_of(&edge.call(read("")).await);
    for connected in [UNCONNECTED, Ok("of-ada")] {
        edge.credentials.set("ada", connected);
        for action in ["decline", "cancel"] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete","content":[{{"type":"text","text":"a was not connected, so the tool was not called."}}],"isError":true,{META}}}}}"#
            );
            expect(&edge.call(call(&back(&state, action), URLS)).await, 200, &body);
            let body = r#"{"jsonrpc":"2.0","id":7,"error":{"code":428,"message":"a was not connected."}}"#;
            expect(&edge.call(read(&back(&read_state, action))).await, 200, body);
        }
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_tool_to_connect_says_when_it_is_done() {
    let (upstream, edge) = unconnected().await;
    let connect = |more: &str| modern("a", "tools/call", "connect", &format!(r#""name":"connect"{more}"#), URLS);
    let state = state_of(&edge.call(connect("")).await);
    edge.credentials.set("ada", Ok("of-ada"));
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"result":{{"resultType":"complete","content":[{{"type":"text","text":"a is connected. List the tools again to see what it offers."}}],"isError":false,{META}}}}}"#
    );
    expect(&edge.call(connect(&back(&state, "accept"))).await, 200, &body);
    assert_eq!(upstream.connections(), 0);
    assert_eq!(edge.call(connect("")).await.text(), RESULT, "the upstream may have such a tool itself");
}

/// MCP 2026-07-28: a state is verified, and bound to principal, client, route, method, parameters and time.
#[tokio::test]
async fn a_state_of_somebody_else_or_for_something_else_is_refused() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    let good = back(&state, "accept");
    for connected in [UNCONNECTED, Ok("token")] {
        for user in ["ada", "bob"] {
            edge.credentials.set(user, connected.clone());
        }
        for (user, client) in [("bob", "client-1"), ("ada", "client-2"), ("ada\nclient", "-1")] {
            edge.credentials.set(user, connected.clone());
            let stranger = edge.token_of(user, client, "a");
            expect_refused(&edge.exchange(call(&good, URLS).bearer(&stranger)).await);
        }
        let other_arguments = format!(r#""name":"echo","arguments":{{"n":2}}{good}"#);
        expect_refused(&edge.call(modern("a", "tools/call", "echo", &other_arguments, URLS)).await);
        let other_tool = format!(r#""name":"drop","arguments":{{"n":1.50,"s":"\u0061"}}{good}"#);
        expect_refused(&edge.call(modern("a", "tools/call", "drop", &other_tool, URLS)).await);
        let other_method = format!(r#""name":"echo","arguments":{{"n":1.50,"s":"\u0061"}}{good}"#);
        expect_refused(&edge.call(modern("a", "prompts/get", "echo", &other_method, URLS)).await);

        let mut flipped = state.clone().into_bytes();
        let last = flipped.len() - 8;
        flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        let prefix = &state[..=state.rfind('.').unwrap()];
        for forged in [&*flipped, &state[..state.len() - 4], prefix, &format!("{prefix}!!!"), &format!("{state}A")] {
            expect_refused(&edge.call(call(&back(forged, "accept"), URLS)).await);
        }
        for responses in [
            format!(r#"{{"{KEY}":{{"action":"yes"}}}}"#),
            format!(r#"{{"{KEY}":{{}}}}"#),
            format!(r#"{{"{KEY}":"accept"}}"#),
            format!(r#"{{"{KEY}":{{"action":"accept","action":"decline"}}}}"#),
            "[]".to_owned(),
            "null".to_owned(),
        ] {
            let more = format!(r#","inputResponses":{responses},"requestState":"{state}""#);
            expect_refused(&edge.call(call(&more, URLS)).await);
        }
    }
    assert_eq!(upstream.connections(), 0);
    edge.clock.advance(Duration::from_secs(599));
    assert_eq!(edge.call(call(&good, URLS)).await.text(), RESULT);
    edge.clock.advance(Duration::from_secs(1));
    let late = edge.call(call(&good, URLS)).await;
    expect_refused(&late);
    assert_eq!(late.json()["error"]["message"], "The requestState has expired; send the request again without it.");
    edge.credentials.set("ada", UNCONNECTED);
    expect_refused(&edge.call(call(&good, URLS)).await);
    assert_eq!(upstream.calls().len(), 1);
}

/// A state at another route is not ours there, and goes to that upstream as any state of its own does.
#[tokio::test]
async fn a_state_opens_at_its_own_route_only() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    let elsewhere = format!(r#""name":"echo","arguments":{{"n":1.50,"s":"\u0061"}}{}"#, back(&state, "decline"));
    let request = || modern("b", "tools/call", "echo", &elsewhere, URLS).bearer(&edge.token("b"));
    let asked = edge.exchange(request()).await;
    assert_eq!(asked.json()["result"]["resultType"], "input_required");
    edge.credentials.set("ada", Ok("of-ada"));
    assert_eq!(edge.exchange(request()).await.text(), RESULT);
    assert!(params_upstream(&upstream).contains(&state));
}

/// MCP 2026-07-28: an upstream's own state reaches it byte for byte.
#[tokio::test]
async fn what_belongs_to_the_upstream_passes_untouched() {
    let (upstream, edge) = unconnected().await;
    edge.credentials.set("ada", Ok("of-ada"));
    let strange = [
        r#","requestState":"sallyport.connect.AAAAAAAAAAAA.x","inputResponses":{"sallyport.connect.a-upstream":{"action":"decline"}}"#,
        r#","inputResponses":{"k":{"action":"accept","content":{"n":1.0}}},"requestState":"upstream \u0073tate""#,
        r#","requestState":"","inputResponses":{}"#,
    ];
    for (index, members) in strange.iter().enumerate() {
        assert_eq!(edge.call(call(members, URLS)).await.text(), RESULT);
        let body = String::from_utf8(upstream.calls()[index].body.clone()).unwrap();
        assert!(body.contains(members), "{body}");
    }
}

/// The connection may be lost between an upstream's question and its answer; both must survive the detour.
#[tokio::test]
async fn an_upstreams_question_survives_a_reconnect() {
    let (upstream, edge) = unconnected().await;
    edge.credentials.set("ada", ENDED);
    let of_upstream =
        r#","inputResponses":{"k":{"action":"accept","content":{"n":1.0}}},"requestState":"upstream \u0073tate""#;
    let first = state_of(&edge.call(call(of_upstream, URLS)).await);
    let second = state_of(&edge.call(call(&back(&first, "accept"), URLS)).await);
    edge.credentials.set("ada", Ok("of-ada"));
    assert_eq!(edge.call(call(&back(&second, "accept"), URLS)).await.text(), RESULT);
    let params = params_upstream(&upstream);
    assert!(params.ends_with(&format!("{of_upstream}}}")), "{params}");
    assert!(!params.contains("sallyport.connect"), "{params}");
}

/// Responses to questions of others that came along are theirs.
#[tokio::test]
async fn only_our_own_response_is_taken_out() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    edge.credentials.set("ada", Ok("of-ada"));
    let more = format!(
        r#","inputResponses":{{"other":{{"action":"decline"}},"{KEY}":{{"action":"accept"}}}},"requestState":"{state}""#
    );
    assert_eq!(edge.call(call(&more, URLS)).await.text(), RESULT);
    let params: Value = serde_json::from_str(&params_upstream(&upstream)).unwrap();
    assert_eq!(params["inputResponses"], json!({"other": {"action": "decline"}}));
    assert_eq!(params.get("requestState"), None);
}

/// Two readers of a repeated member could choose differently, so nobody gets to choose.
#[tokio::test]
async fn a_state_beside_repeated_members_is_refused() {
    let (upstream, edge) = unconnected().await;
    let state = state_of(&edge.call(call("", URLS)).await);
    edge.credentials.set("ada", Ok("of-ada"));
    for more in [
        format!(r#"{},"requestState":"other""#, back(&state, "accept")),
        format!(r#","requestState":"other"{}"#, back(&state, "accept")),
        format!(r#","name":"drop"{}"#, back(&state, "accept")),
    ] {
        let answer = edge.call(call(&more, URLS)).await;
        assert_eq!((answer.status(), &answer.json()["error"]["code"]), (400, &json!(-32600)), "{more}");
    }
    assert_eq!(upstream.connections(), 0);
}
