//! The answers from 2026-07-28 on.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Answer, Implementation, Notice, TOOL, ToolList, instructions, list_member};
use crate::mcp::{
    Code, Request, RequestId, Version,
    error::error_with,
    modern::{ClientAbilities, may_ask},
};

/// Answers one request, which was checked, of a client whose upstream is not connected.
///
/// A call asks for the person's input if the client can show a URL; `state` makes what the client brings back. Otherwise
/// it is told what it lacks, except by the tool to connect, whose only purpose is the link. What cannot ask and is no
/// list gets an error that is ours.
pub fn answer(
    request: &Request<'_>,
    abilities: ClientAbilities,
    notice: &Notice<'_>,
    state: impl FnOnce() -> String,
) -> Answer {
    let id = &request.id;
    match &*request.method {
        "server/discover" => {
            let discovered = Discovered {
                // Nobody knows yet what the upstream speaks, and until it is connected all of these are answered here.
                // A client of both eras must have something to fall back on if it turns out to be a legacy one.
                supported_versions: [
                    Version::V2026_07_28,
                    Version::V2025_11_25,
                    Version::V2025_06_18,
                    Version::V2025_03_26,
                ]
                .map(|version| version.to_string())
                .into(),
                capabilities: json!({"tools": {}}),
                instructions: instructions(notice),
            };
            Answer::result(id, &Complete::kept_by_nobody(discovered, notice))
        }
        "tools/list" => Answer::result(id, &Complete::kept_by_nobody(ToolList::of(notice), notice)),
        method if may_ask(method) && abilities.url_elicitation => {
            Answer::result(id, &InputRequired::of(notice, state()))
        }
        "tools/call" if request.params.string("name").as_deref() == Some(TOOL) => {
            let text = format!("{} Open this link in a browser, then go on: {}", notice.message, notice.url);
            Answer::result(id, &Complete::tool_result(text, true, notice.service))
        }
        method if may_ask(method) => {
            let data = json!({"requiredCapabilities": {"elicitation": {"url": {}}}});
            let message = format!("{} This requires URL elicitation.", notice.message);
            let body = error_with(Some(id), Code::MISSING_CAPABILITY, &message, Some(&data));
            Answer::message(StatusCode::BAD_REQUEST, body)
        }
        method => match list_member(method) {
            Some(member) => Answer::result(id, &Complete::kept_by_nobody(json!({member: []}), notice)),
            None => not_connected(id, notice),
        },
    }
}

/// The last word after the person declined to connect.
pub fn declined_answer(request: &Request<'_>, service: &str, upstream_title: &str) -> Answer {
    if request.method == "tools/call" {
        let text = format!("{upstream_title} was not connected, so the tool was not called.");
        return Answer::result(&request.id, &Complete::tool_result(text, true, service));
    }
    let message = format!("{upstream_title} was not connected.");
    Answer::message(StatusCode::OK, error_with(Some(&request.id), not_connected_code(), &message, None::<&()>))
}

/// The answer of [`TOOL`] when the person has connected the upstream.
pub fn connected_answer(id: &RequestId, service: &str, upstream_title: &str) -> Answer {
    let text = format!("{upstream_title} is connected. List the tools again to see what it offers.");
    Answer::result(id, &Complete::tool_result(text, false, service))
}

/// The key of our question among those of an answer.
pub fn input_key(upstream_id: &str) -> String {
    format!("sallyport.connect.{upstream_id}")
}

fn not_connected(id: &RequestId, notice: &Notice<'_>) -> Answer {
    let data = Unconnected { state: notice.state, upstream_server_id: notice.upstream_id, auth_url: notice.url };
    Answer::message(StatusCode::OK, error_with(Some(id), not_connected_code(), notice.message, Some(&data)))
}

/// HTTP's number for what must come first; MCP has none.
fn not_connected_code() -> Code {
    Code::of_status(StatusCode::PRECONDITION_REQUIRED)
}

/// A result that is final.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Complete<'a, T: Serialize> {
    result_type: &'static str,
    #[serde(flatten)]
    result: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_scope: Option<&'static str>,
    #[serde(rename = "_meta")]
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Implementation<'a>,
}

impl<'a, T: Serialize> Complete<'a, T> {
    /// A result of the cacheable kind that holds for this moment and this user only.
    fn kept_by_nobody(result: T, notice: &Notice<'a>) -> Self {
        let meta = Meta { server_info: Implementation::of(notice.service) };
        Self { result_type: "complete", result, ttl_ms: Some(0), cache_scope: Some("private"), meta }
    }
}

impl<'a> Complete<'a, ToolResult> {
    fn tool_result(text: String, is_error: bool, service: &'a str) -> Self {
        let meta = Meta { server_info: Implementation::of(service) };
        let result = ToolResult { content: [Text { r#type: "text", text }], is_error };
        Self { result_type: "complete", result, ttl_ms: None, cache_scope: None, meta }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    content: [Text; 1],
    is_error: bool,
}

#[derive(Serialize)]
struct Text {
    r#type: &'static str,
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Discovered {
    supported_versions: Vec<String>,
    capabilities: Value,
    instructions: String,
}

/// A result that asks the client for input.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputRequired<'a> {
    result_type: &'static str,
    input_requests: BTreeMap<String, Elicit<'a>>,
    request_state: String,
}

#[derive(Serialize)]
struct Elicit<'a> {
    method: &'static str,
    params: Opening<'a>,
}

#[derive(Serialize)]
struct Opening<'a> {
    mode: &'static str,
    url: &'a str,
    message: &'a str,
}

impl<'a> InputRequired<'a> {
    fn of(notice: &Notice<'a>, request_state: String) -> Self {
        let params = Opening { mode: "url", url: notice.url, message: notice.message };
        let ask = Elicit { method: "elicitation/create", params };
        Self {
            result_type: "input_required",
            input_requests: BTreeMap::from([(input_key(notice.upstream_id), ask)]),
            request_state,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Unconnected<'a> {
    state: &'static str,
    upstream_server_id: &'a str,
    auth_url: &'a str,
}
