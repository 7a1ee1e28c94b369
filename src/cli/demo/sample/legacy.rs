//! The legacy era, 2025-03-26 to 2025-11-25: a handshake, then plain calls. No session is minted.

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    SampleResponse,
    fault::Fault,
    message::{Message, Request},
    tools,
};

/// Answers one message; `version` is what the header claims, and its absence means 2025-03-26.
pub(super) fn answer(message: Message, version: Option<&str>, headers: &HeaderMap) -> SampleResponse {
    if version.is_some_and(|version| !VERSIONS.contains(&version)) {
        let id = if let Message::Request(request) = &message { Some(&request.id) } else { None };
        return SampleResponse::fault(StatusCode::BAD_REQUEST, id, &Fault::UnknownVersion);
    }
    match message {
        Message::Notification | Message::Response => SampleResponse::empty(StatusCode::ACCEPTED),
        Message::Request(request) => match result(&request, headers) {
            Ok(result) => SampleResponse::json(StatusCode::OK, &envelope(&request.id, &result)),
            Err(fault) => SampleResponse::fault(fault.legacy_status(), Some(&request.id), &fault),
        },
    }
}

/// Answers a batch, which exists in 2025-03-26 alone and never holds `initialize`.
pub(super) fn answer_batch(messages: Vec<Value>, version: Option<&str>, headers: &HeaderMap) -> SampleResponse {
    if version.is_some_and(|version| version != WITH_BATCHES) {
        return SampleResponse::fault(StatusCode::BAD_REQUEST, None, &Fault::Batch);
    }
    if messages.is_empty() {
        return SampleResponse::fault(StatusCode::BAD_REQUEST, None, &Fault::InvalidRequest);
    }
    let answers: Vec<Value> = messages
        .into_iter()
        .filter_map(|message| match Message::parse(message) {
            Err(fault) => Some(fault.envelope(None)),
            Ok(Message::Notification | Message::Response) => None,
            Ok(Message::Request(request)) if request.method == "initialize" => {
                Some(Fault::InvalidRequest.envelope(Some(&request.id)))
            }
            Ok(Message::Request(request)) => Some(match result(&request, headers) {
                Ok(result) => envelope(&request.id, &result),
                Err(fault) => fault.envelope(Some(&request.id)),
            }),
        })
        .collect();
    if answers.is_empty() {
        SampleResponse::empty(StatusCode::ACCEPTED)
    } else {
        SampleResponse::json(StatusCode::OK, &Value::Array(answers))
    }
}

fn result(request: &Request, headers: &HeaderMap) -> Result<Value, Fault> {
    match request.method.as_str() {
        "initialize" => initialize(request),
        "ping" => Ok(json!({})),
        "tools/list" => tools::list(&request.params),
        "tools/call" => tools::call(&request.params, headers),
        _ => Err(Fault::MethodNotFound),
    }
}

/// Agrees on the version that the client asks for, or offers the newest of this era.
fn initialize(request: &Request) -> Result<Value, Fault> {
    let Some(requested) = request.params.get("protocolVersion").and_then(Value::as_str) else {
        return Err(Fault::InvalidParams("protocolVersion"));
    };
    let version = VERSIONS.iter().find(|version| **version == requested).unwrap_or(&VERSIONS[0]);
    Ok(json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": tools::server_info(),
        "instructions": tools::INSTRUCTIONS,
    }))
}

fn envelope(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

/// Newest first.
const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", WITH_BATCHES];
const WITH_BATCHES: &str = "2025-03-26";
