//! What comes from upstreams.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::TestView;
use crate::mcp::filter::{Kind, Malformed, Narrowed, Projection, narrow};

fn narrowed(text: &str) -> Narrowed {
    narrow(text, &TestView::new()).unwrap_or_else(|_| panic!("{text}"))
}

#[track_caller]
fn becomes(text: &str, expected: &str) {
    assert_eq!(narrowed(text), Narrowed::Changed(expected.to_owned()), "{text}");
}

#[test]
fn lists_are_narrowed_and_keep_everything_else() {
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"},{"name":"shown-1","inputSchema":{"type":"object","x-mcp-header":"R"}}, {"name":"b"} ,{"name":"shown-2"}],"nextCursor":"","ttlMs":5}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown-1","inputSchema":{"type":"object","x-mcp-header":"R"}} ,{"name":"shown-2"}],"nextCursor":"","ttlMs":5}}"#,
    );
    becomes(
        r#"{"id":1,"jsonrpc":"2.0","result":{"prompts":[ {"name":"shown"},{"name":"a"}]}}"#,
        r#"{"id":1,"jsonrpc":"2.0","result":{"prompts":[ {"name":"shown"}]}}"#,
    );
    becomes(
        r#"{"result":{"resources":[{"uri":"a://b","name":"shown"},{"name":"x","uri":"shown://b"}]},"jsonrpc":"2.0","id":"x"}"#,
        r#"{"result":{"resources":[{"name":"x","uri":"shown://b"}]},"jsonrpc":"2.0","id":"x"}"#,
    );
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"resourceTemplates":[{"uriTemplate":"a://{b}"}],"nextCursor":"c"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"resourceTemplates":[],"nextCursor":"c"}}"#,
    );
    let all = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown"}]}}"#;
    assert_eq!(narrowed(all), Narrowed::Unchanged);
}

/// MCP 2026-07-28, caching: a client may keep a list for as long as `ttlMs` says, which is too long for a policy.
#[test]
fn no_client_keeps_a_list_for_longer_than_a_policy_may_hold() {
    for (said, told) in [("300001", "300000"), ("86400000.5", "300000"), ("1e12", "300000"), ("9e999", "300000")] {
        becomes(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"ttlMs": {said} ,"tools":[{{"name":"shown"}}]}}}}"#),
            &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"ttlMs": {told} ,"tools":[{{"name":"shown"}}]}}}}"#),
        );
    }
    for said in ["0", "300000", "-1", "\"1000000\"", "null", "[1000000]"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[],"ttlMs":{said}}}}}"#);
        assert_eq!(narrowed(&text), Narrowed::Unchanged, "{said}");
    }
}

#[test]
fn an_item_is_hidden_however_its_name_is_spelled_and_wherever_it_stands() {
    for item in [
        r#"{"name":"hid\u0064en"}"#,
        r#"{"title":"shown","inputSchema":{"name":"shown"},"name":"hidden"}"#,
        r#"{"n\u0061me":"hidden"}"#,
        r#"{"title":"no name"}"#,
        r#"{"name":7}"#,
        r#"{"name":null}"#,
        r#"{"name":"shown","description":"unaccepted"}"#,
    ] {
        becomes(
            &format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{item}]}}}}"#),
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#,
        );
    }
}

/// RFC 8259 section 4, and parsers that match names without case.
#[test]
fn what_two_readers_read_differently_is_refused() {
    for text in [
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown","name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown","Name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown","n\u0061me":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"Tools":[{"name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tool\u017f":[{"name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]},"result":{"tools":[{"name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"Result":{"tools":[{"name":"hidden"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"shown\ud800"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":["hidden"]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}} {"tools":["hidden"]}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],}}"#,
        "[[]]",
        "null",
        "",
    ] {
        assert_eq!(narrow(text, &TestView::new()), Err(Malformed), "{text}");
    }
}

#[test]
fn projections_replace_and_merge_and_leave_schemas_alone() {
    let projection = Projection {
        name: Some("\"N\"".to_owned()),
        description: Some("\"D\"".to_owned()),
        mime_type: Some("\"a/b\"".to_owned()),
        annotations: json!({"readOnlyHint": true}).as_object().cloned(),
        meta: json!({"a": {"b": 2}, "z": [1]}).as_object().cloned(),
    };
    let view = TestView::projecting(Kind::Resource, projection);
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"resources":[{"_meta":{"a":{"b":1,"c":1},"y":0},"description":"d","uri":"shown://1","size":7},{"uri":"x"},{"uri":"shown://2","annotations":null,"name":"n"}]}}"#;
    let Ok(Narrowed::Changed(changed)) = narrow(text, &view) else { panic!() };
    let changed: Value = serde_json::from_str(&changed).unwrap();
    let expected = json!([
        {"uri": "shown://1", "size": 7, "name": "N", "description": "D", "mimeType": "a/b",
         "annotations": {"readOnlyHint": true}, "_meta": {"a": {"b": 2, "c": 1}, "y": 0, "z": [1]}},
        {"uri": "shown://2", "name": "N", "description": "D", "mimeType": "a/b",
         "annotations": {"readOnlyHint": true}, "_meta": {"a": {"b": 2}, "z": [1]}},
    ]);
    assert_eq!(changed["result"]["resources"], expected);
}

/// MCP 2026-07-28, caching: what depends on the caller is nobody else's.
#[test]
fn what_depends_on_the_caller_is_private() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"cacheScope":"public","tools":[],"ttlMs":1}}"#;
    let Ok(Narrowed::Changed(private)) = narrow(text, &TestView::private()) else { panic!() };
    assert_eq!(private, text.replace("public", "private"));
    assert_eq!(narrowed(text), Narrowed::Unchanged);
    assert_eq!(narrow(&private, &TestView::private()), Ok(Narrowed::Unchanged));
}

#[test]
fn links_and_embedded_resources_that_are_hidden_are_left_out() {
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a"},{"type":"resource_link","uri":"hidden://a","name":"x"},{"type":"resource","resource":{"uri":"hidden://b","text":"secret"}},{"type":"resource","resource":{"uri":"made:///1","text":"t"}}],"structuredContent":{"uri":"hidden://a"},"isError":false}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"a"},{"type":"resource","resource":{"uri":"made:///1","text":"t"}}],"structuredContent":{"uri":"hidden://a"},"isError":false}}"#,
    );
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"hidden://b"}}},{"role":"user","content":{"type":"text","text":"t"}}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"messages":[{"role":"user","content":{"type":"text","text":"t"}}]}}"#,
    );
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"hidden://b","text":"x"},{"uri":"shown://b","text":"y"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"shown://b","text":"y"}]}}"#,
    );
}

/// MCP 2026-07-28, resources: never an empty `contents`.
#[test]
fn contents_of_which_nothing_may_be_seen_are_an_error() {
    becomes(
        r#"{"jsonrpc":"2.0","id":"r","result":{"contents":[{"uri":"hidden://b","text":"x"}],"ttlMs":0}}"#,
        r#"{"jsonrpc":"2.0","id":"r","error":{"code":-32602,"message":"Resource not found"}}"#,
    );
}

#[test]
fn notifications_tell_only_of_what_is_shown() {
    let notification =
        |method: &str, params: &str| narrowed(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#));
    for (method, params) in [
        ("notifications/resources/updated", r#"{"uri":"shown://a"}"#),
        ("notifications/resources/updated", r#"{"uri":"made:///7"}"#),
        ("notifications/tools/list_changed", "{}"),
        ("notifications/resources/list_changed", "{}"),
        ("notifications/progress", r#"{"progressToken":1}"#),
        ("notifications/message", r#"{"level":"info"}"#),
        ("notifications/cancelled", "{}"),
        ("notifications/subscriptions/acknowledged", r#"{"notifications":{"toolsListChanged":true}}"#),
        ("example/known", "{}"),
    ] {
        assert_eq!(notification(method, params), Narrowed::Unchanged, "{method} {params}");
    }
    for (method, params) in [
        ("notifications/resources/updated", r#"{"uri":"hidden://a"}"#),
        ("notifications/resources/updated", r#"{"uri":"made:///7/8"}"#),
        ("notifications/resources/updated", "{}"),
        ("notifications/prompts/list_changed", "{}"),
        ("notifications/tasks/status", "{}"),
        ("example/unknown", "{}"),
    ] {
        assert_eq!(notification(method, params), Narrowed::Dropped, "{method} {params}");
    }
    becomes(
        r#"{"jsonrpc":"2.0","params":{"notifications":{"resourceSubscriptions":["hidden://a","shown://b"]},"_meta":{"io.modelcontextprotocol/subscriptionId":1}},"method":"notifications/subscriptions/acknowledged"}"#,
        r#"{"jsonrpc":"2.0","params":{"notifications":{"resourceSubscriptions":["shown://b"]},"_meta":{"io.modelcontextprotocol/subscriptionId":1}},"method":"notifications/subscriptions/acknowledged"}"#,
    );
}

#[test]
fn a_servers_own_requests_pass_if_they_are_known() {
    for (method, expected) in [
        ("ping", Narrowed::Unchanged),
        ("sampling/createMessage", Narrowed::Unchanged),
        ("elicitation/create", Narrowed::Unchanged),
        ("roots/list", Narrowed::Unchanged),
        ("example/unknown", Narrowed::Dropped),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{}}}}"#);
        assert_eq!(narrowed(&text), expected, "{method}");
    }
}

#[test]
fn tasks_are_not_offered_where_their_methods_do_not_pass() {
    becomes(
        r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{},"tasks":{"list":{}},"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}}},"instructions":"x"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"capabilities":{"tools":{},"extensions":{"a/b":{}}},"instructions":"x"}}"#,
    );
}

/// 2025-03-26 lets servers answer with batches.
#[test]
fn batches_are_narrowed_message_by_message() {
    becomes(
        r#"[{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"},{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"hidden"}]}},{"jsonrpc":"2.0","id":2,"result":{}}]"#,
        r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[]}},{"jsonrpc":"2.0","id":2,"result":{}}]"#,
    );
    let dropped = r#"[{"jsonrpc":"2.0","method":"notifications/prompts/list_changed"}]"#;
    assert_eq!(narrowed(dropped), Narrowed::Dropped);
}

proptest! {
    /// The oracle: whatever the order of members, the spelling and the spaces, no hidden name comes through.
    #[test]
    fn no_hidden_name_comes_through(
        items in proptest::collection::vec((any::<bool>(), 0..6_usize, any::<[bool; 4]>()), 0..8),
        kind in 0..4_usize,
        space in "[ \n\t]{0,2}",
        result_first in any::<bool>(),
    ) {
        let kind = [Kind::Tool, Kind::Prompt, Kind::Resource, Kind::ResourceTemplate][kind];
        let written: Vec<_> = items.iter().enumerate().map(|(n, (shown, place, spelling))| {
            let name = if *shown { format!("shown-{n}") } else { format!("hidden-{n}") };
            let spelled: String = name.chars().enumerate().map(|(at, character)| {
                if spelling[at % 4] { format!("\\u{:04x}", character as u32) } else { character.to_string() }
            }).collect();
            let key = format!("\"{}\"{space}:{space}\"{spelled}\"", kind.key());
            let mut members = vec![
                "\"title\":\"t\"".to_owned(),
                "\"inputSchema\":{\"type\":\"object\",\"properties\":{\"name\":{}}}".to_owned(),
                format!("\"icons\"{space}:[{{\"src\":\"\\u0000{n}\"}},1.5e3,null]"),
            ];
            members.insert((*place).min(members.len()), key);
            format!("{{{}}}", members.join(&format!("{space},")))
        }).collect();
        let result = format!("\"result\":{{\"{}\":[{}]{space}}}", kind.list(), written.join(&format!("{space},{space}")));
        let text = if result_first { format!("{{{result},\"jsonrpc\":\"2.0\",\"id\":1}}") } else { format!("{{\"jsonrpc\":\"2.0\",\"id\":1,{result}}}{space}") };
        let out = match narrow(&text, &TestView::new()).unwrap() {
            Narrowed::Changed(changed) => changed,
            Narrowed::Unchanged => text,
            Narrowed::Dropped => unreachable!("an answer is not dropped"),
        };
        let out: Value = serde_json::from_str(&out).unwrap();
        let names: Vec<_> = out["result"][kind.list()].as_array().unwrap().iter().map(|item| item[kind.key()].as_str().unwrap().to_owned()).collect();
        let expected: Vec<_> = items.iter().enumerate().filter(|(_, (shown, ..))| *shown).map(|(n, _)| format!("shown-{n}")).collect();
        prop_assert_eq!(names, expected);
    }

    #[test]
    fn no_text_panics_and_what_comes_out_is_json(text in r#"(\{|\}|\[|\]|,|:|"jsonrpc":"2.0"|"id":1|"result":|"tools":|"name":|"shown"|"hidden"|"uri"|"method":"notifications/resources/updated"|"params":|\\|"| ){0,24}"#) {
        if let Ok(Narrowed::Changed(changed)) = narrow(&text, &TestView::new()) {
            prop_assert!(serde_json::from_str::<Value>(&changed).is_ok(), "{} -> {}", text, changed);
            prop_assert!(!changed.contains("hidden") || text.contains("jsonrpc"), "{}", changed);
        }
    }
}
