//! What comes from clients.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

use super::TestView;
use crate::mcp::{
    Code, Era, Head, RequestId,
    filter::{Batch, Edits, Kind, Refusal, judge},
    modern::Misfit,
};

fn judged(body: &str) -> Result<String, Refusal> {
    let batch = Batch::parse(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}"));
    let mut edits = Edits::default();
    for request in batch.messages() {
        judge(request, body, &TestView::new(), &mut edits)?;
    }
    Ok(edits.apply(body))
}

fn request(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
}

#[test]
fn what_is_shown_may_be_asked_for() {
    for (method, params) in [
        ("tools/call", r#"{"name":"shown","arguments":{"name":"hidden"}}"#),
        ("tools/call", r#"{"n\u0061me":"sho\u0077n"}"#),
        ("prompts/get", r#"{"name":"shown-1"}"#),
        ("resources/read", r#"{"uri":"shown://a"}"#),
        ("resources/read", r#"{"uri":"made:///42"}"#),
        ("resources/subscribe", r#"{"uri":"shown://a"}"#),
        ("resources/unsubscribe", r#"{"uri":"shown://a"}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/prompt","name":"shown"},"argument":{}}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"shown://{x}"},"argument":{}}"#),
        ("completion/complete", r#"{"ref":{"type":"ref/resource","uri":"made:///9"},"argument":{}}"#),
        ("tools/list", "{}"),
        ("initialize", r#"{"protocolVersion":"2025-11-25"}"#),
        ("example/known", r#"{"x":1}"#),
        ("subscriptions/listen", r#"{"notifications":{"toolsListChanged":true}}"#),
    ] {
        let body = request(method, params);
        assert_eq!(judged(&body), Ok(body.clone()), "{method} {params}");
    }
    assert!(judged(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).is_ok());
    assert!(judged(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#).is_ok());
}

#[test]
fn what_is_hidden_does_not_exist() {
    let no_such = |kind, key: &str| Err(Refusal::NoSuch(kind, key.to_owned()));
    for (method, params, expected) in [
        ("tools/call", r#"{"name":"hidden"}"#, no_such(Kind::Tool, "hidden")),
        ("tools/call", r#"{"name":"hid\u0064en"}"#, no_such(Kind::Tool, "hidden")),
        ("tools/call", r#"{"name":"Shown"}"#, no_such(Kind::Tool, "Shown")),
        ("tools/call", r#"{"name":""}"#, no_such(Kind::Tool, "")),
        ("prompts/get", r#"{"name":"hidden"}"#, no_such(Kind::Prompt, "hidden")),
        ("resources/read", r#"{"uri":"hidden://a"}"#, no_such(Kind::Resource, "hidden://a")),
        ("resources/read", r#"{"uri":"made:///../a"}"#, no_such(Kind::Resource, "made:///../a")),
        ("resources/subscribe", r#"{"uri":"hidden://a"}"#, no_such(Kind::Resource, "hidden://a")),
        ("resources/unsubscribe", r#"{"uri":"hidden://a"}"#, no_such(Kind::Resource, "hidden://a")),
        ("completion/complete", r#"{"ref":{"name":"hidden"}}"#, no_such(Kind::Prompt, "hidden")),
        ("completion/complete", r#"{"ref":{"uri":"hidden://{x}"}}"#, no_such(Kind::ResourceTemplate, "hidden://{x}")),
        ("completion/complete", r#"{"ref":{"uri":"shown://a","name":"hidden"}}"#, Err(Refusal::Incomplete)),
        ("completion/complete", "{}", Err(Refusal::Incomplete)),
        ("tools/call", "{}", Err(Refusal::Incomplete)),
        ("resources/read", r#"{"name":"shown"}"#, Err(Refusal::Incomplete)),
        ("tasks/get", r#"{"taskId":"1"}"#, Err(Refusal::NoSuchMethod)),
        ("tasks/list", "{}", Err(Refusal::NoSuchMethod)),
        ("example/unknown", "{}", Err(Refusal::NoSuchMethod)),
        ("Tools/Call", r#"{"name":"shown"}"#, Err(Refusal::NoSuchMethod)),
    ] {
        assert_eq!(judged(&request(method, params)), expected, "{method} {params}");
    }
    assert_eq!(
        judged(r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"hidden"}}"#),
        no_such(Kind::Tool, "hidden")
    );
}

/// MCP 2026-07-28, subscriptions: a URI that does not exist is left out of what is acknowledged.
#[test]
fn a_hidden_uri_never_reaches_the_upstream() {
    let body = request(
        "subscriptions/listen",
        r#"{"notifications":{"resourceSubscriptions":["hidden://a", "shown://b","hid\u0064en://c"]}}"#,
    );
    let expected = request("subscriptions/listen", r#"{"notifications":{"resourceSubscriptions":["shown://b"]}}"#);
    assert_eq!(judged(&body), Ok(expected));
}

/// JSON that two parsers read differently is a way around every rule.
#[test]
fn what_is_read_in_two_ways_is_refused() {
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}"#, Code::PARSE_ERROR),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shown","name":"hidden"}}"#,
            Code::PARSE_ERROR,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shown","NAME":"hidden"}}"#,
            Code::PARSE_ERROR,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shown","\u004eame":"hidden"}}"#,
            Code::PARSE_ERROR,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{},"param\u017f":{"name":"hidden"}}"#,
            Code::PARSE_ERROR,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"shown\ud800"}}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["shown"]}}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"ref":{"uri":"a","Uri":"b"}}}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":[]}"#, Code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{"a":1}"#, Code::PARSE_ERROR),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\0", Code::PARSE_ERROR),
        ("\u{feff}{}", Code::INVALID_REQUEST),
        ("{}", Code::INVALID_REQUEST),
        ("[]", Code::INVALID_REQUEST),
        ("1", Code::INVALID_REQUEST),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, Code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, Code::INVALID_REQUEST),
    ] {
        assert_eq!(Batch::parse(body.as_bytes()).unwrap_err().code(), code, "{body}");
    }
    assert_eq!(Batch::parse(b"{\"jsonrpc\":\"2.0\",\"x\":\"\xff\"}").unwrap_err().code(), Code::PARSE_ERROR);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let batch = |count: usize| format!("[{}]", vec![ping; count].join(","));
    assert!(Batch::parse(batch(100).as_bytes()).is_ok());
    assert!(Batch::parse(batch(101).as_bytes()).is_err());
}

const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
const METHOD: (&str, &str) = ("mcp-method", "tools/call");

/// MCP 2026-07-28, Streamable HTTP: the headers are mirrors, and under an older version they are nothing at all.
#[test]
fn headers_and_body_are_of_one_era() {
    let body = |meta: &str| request("tools/call", &format!(r#"{{"name":"shown","_meta":{meta}}}"#));
    let modern = body(
        r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#,
    );
    let checked = |headers: &[(&'static str, &'static str)], body: &str| {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let batch = Batch::parse(body.as_bytes()).unwrap();
        batch.messages()[0].check_era(&Head::parse(&headers).unwrap())
    };
    let misfit = |header| Err(Refusal::Misfit(Misfit::Header(header)));
    assert_eq!(checked(&[VERSION, METHOD, ("mcp-name", "shown")], &modern), Ok(()));
    assert_eq!(checked(&[VERSION, METHOD, ("mcp-name", "=?base64?c2hvd24=?=")], &modern), Ok(()));
    assert_eq!(checked(&[VERSION, METHOD, ("mcp-name", "hidden")], &modern), misfit("Mcp-Name"));
    assert_eq!(checked(&[VERSION, METHOD], &modern), misfit("Mcp-Name"));
    assert_eq!(checked(&[VERSION, ("mcp-method", "ping"), ("mcp-name", "shown")], &modern), misfit("Mcp-Method"));
    assert_eq!(checked(&[], &modern), misfit("MCP-Protocol-Version"));
    assert_eq!(checked(&[("mcp-protocol-version", "2025-11-25")], &modern), misfit("MCP-Protocol-Version"));
    assert_eq!(checked(&[("mcp-name", "hidden")], &body("{}")), Ok(()));
    assert!(matches!(
        checked(&[VERSION, METHOD, ("mcp-name", "shown")], &body("{}")),
        Err(Refusal::Misfit(Misfit::Meta(_)))
    ));
    let initialize = request("initialize", "{}");
    assert_eq!(checked(&[VERSION], &initialize), Err(Refusal::Misfit(Misfit::Removed)));
    assert_eq!(checked(&[VERSION], r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), Err(Refusal::Response));
    let cancelled = r#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#;
    assert_eq!(checked(&[VERSION], cancelled), Ok(()));
    assert_eq!(checked(&[VERSION, METHOD], cancelled), misfit("Mcp-Method"));
}

#[test]
fn a_refusal_looks_like_the_unknown() {
    let id = RequestId::Integer(1);
    let hidden = |kind| Refusal::NoSuch(kind, "a\"b".to_owned());
    for (refusal, era, status, expected) in [
        (hidden(Kind::Tool), Era::Legacy, 200, r#"{"code":-32602,"message":"Unknown tool: a\"b"}"#),
        (hidden(Kind::Tool), Era::Modern, 200, r#"{"code":-32602,"message":"Unknown tool: a\"b"}"#),
        (
            hidden(Kind::Resource),
            Era::Legacy,
            200,
            r#"{"code":-32002,"message":"Resource not found","data":{"uri":"a\"b"}}"#,
        ),
        (
            hidden(Kind::Resource),
            Era::Modern,
            200,
            r#"{"code":-32602,"message":"Resource not found","data":{"uri":"a\"b"}}"#,
        ),
        (Refusal::NoSuchMethod, Era::Legacy, 200, r#"{"code":-32601,"message":"Method not found"}"#),
        (Refusal::NoSuchMethod, Era::Modern, 404, r#"{"code":-32601,"message":"Method not found"}"#),
    ] {
        let (given, body) = refusal.answer(Some(&id), era);
        let body: Value = serde_json::from_str(&body.unwrap()).unwrap();
        assert_eq!((given.as_u16(), &body["error"]), (status, &serde_json::from_str(expected).unwrap()), "{refusal:?}");
    }
    assert_eq!(hidden(Kind::Tool).answer(None, Era::Legacy), (http::StatusCode::ACCEPTED, None));
}

proptest! {
    /// The oracle of the other direction: if a parser of any kind reads a hidden name, the request does not pass.
    #[test]
    fn no_hidden_name_goes_upstream(
        order in any::<[u8; 4]>(),
        spelling in any::<[bool; 8]>(),
        extra in proptest::sample::select(vec!["", r#""x":1"#, r#""name":"hidden""#, r#""NAME":"hidden""#, r#""_meta":{}"#]),
        hidden in any::<bool>(),
    ) {
        let name: String = (if hidden { "hidden" } else { "shown" }).chars().zip(spelling)
            .map(|(character, escape)| if escape { format!("\\u{:04x}", character as u32) } else { character.to_string() })
            .collect();
        let mut params = vec![format!("\"name\":\"{name}\""), "\"arguments\":{\"name\":\"hidden\"}".to_owned()];
        if !extra.is_empty() {
            params.insert(usize::from(order[0]) % 3, extra.to_owned());
        }
        let mut members = [
            "\"jsonrpc\":\"2.0\"".to_owned(), "\"id\":1".to_owned(), "\"method\":\"tools/call\"".to_owned(),
            format!("\"params\":{{{}}}", params.join(" , ")),
        ];
        for (at, with) in order.iter().enumerate() {
            members.swap(at, usize::from(*with) % 4);
        }
        let body = format!("{{{}}}", members.join(","));
        let passes = Batch::parse(body.as_bytes()).is_ok_and(|batch| {
            judge(&batch.messages()[0], &body, &TestView::new(), &mut Edits::default()).is_ok()
        });
        prop_assert_eq!(passes, !hidden && !extra.to_lowercase().contains("name"), "{}", body);
    }

    #[test]
    fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = Batch::parse(&body);
    }
}
