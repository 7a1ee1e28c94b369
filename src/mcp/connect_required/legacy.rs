//! The answers up to 2025-11-25.

use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{Answer, Implementation, Notice, ToolList, instructions, list_member};
use crate::mcp::{Code, Era, Message, Request, RequestId, Version, error::error_with, modern};

/// Answers one message of a client whose upstream is not connected.
///
/// `initialize` agrees on a version and opens a session; lists are empty but for the tool to connect; every other
/// request that a legacy upstream could know gets the error of URL elicitation.
pub fn answer(message: &Message<'_>, notice: &Notice<'_>) -> Answer {
    let Message::Request(request) = message else { return Answer::ACCEPTED };
    if modern::claims_modern(request) {
        let (status, body) = modern::Misfit::Header("MCP-Protocol-Version").answer(&request.id);
        return Answer::message(status, body);
    }
    match &*request.method {
        "initialize" => initialized(request, notice),
        "ping" => Answer::result(&request.id, &json!({})),
        "tools/list" => Answer::result(&request.id, &ToolList::of(notice)),
        // A probe for the modern era that is not of it: the client falls back to `initialize` on this answer alone.
        "server/discover" => {
            let body = error_with(Some(&request.id), Code::METHOD_NOT_FOUND, "Method not found", None::<&()>);
            Answer::message(StatusCode::OK, body)
        }
        method => match list_member(method) {
            Some(member) => Answer::result(&request.id, &json!({member: []})),
            None => connect_required(&request.id, notice),
        },
    }
}

/// Agrees on the version that the client asks for, or offers the newest of this era.
fn initialized(request: &Request<'_>, notice: &Notice<'_>) -> Answer {
    let Some(requested) = request.params.string("protocolVersion") else {
        let message = "The request lacks protocolVersion.";
        let body = error_with(Some(&request.id), Code::INVALID_PARAMS, message, None::<&()>);
        return Answer::message(StatusCode::OK, body);
    };
    let known = requested.parse().ok().filter(|version: &Version| version.is_known() && version.era() == Era::Legacy);
    let result = Initialized {
        protocol_version: known.unwrap_or(Version::V2025_11_25).to_string(),
        capabilities: Capabilities { tools: Tools { list_changed: false } },
        server_info: Implementation::of(notice.service),
        instructions: instructions(notice),
    };
    Answer { opens_session: true, ..Answer::result(&request.id, &result) }
}

fn connect_required(id: &RequestId, notice: &Notice<'_>) -> Answer {
    let data = Data {
        state: notice.state,
        upstream_server_id: notice.upstream_id,
        operation_id: notice.operation_id,
        auth_url: notice.url,
        next_action: "redirect",
        auth_profile_id: notice.auth_profile_id,
        elicitations: [Elicitation {
            mode: "url",
            id: notice.elicitation_id,
            url: notice.url,
            message: notice.message,
        }],
    };
    let body = error_with(Some(id), Code::URL_ELICITATION_REQUIRED, notice.message, Some(&data));
    Answer::message(StatusCode::OK, body)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    state: &'static str,
    upstream_server_id: &'a str,
    operation_id: &'a str,
    auth_url: &'a str,
    next_action: &'static str,
    auth_profile_id: &'a str,
    elicitations: [Elicitation<'a>; 1],
}

#[derive(Serialize)]
struct Elicitation<'a> {
    mode: &'static str,
    #[serde(rename = "elicitationId")]
    id: &'a str,
    url: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Initialized<'a> {
    protocol_version: String,
    capabilities: Capabilities,
    server_info: Implementation<'a>,
    instructions: String,
}

#[derive(Serialize)]
struct Capabilities {
    tools: Tools,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools {
    list_changed: bool,
}
