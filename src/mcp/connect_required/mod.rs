//! What a client is told while the upstream of its route is not connected: a defined answer to every message.
//!
//! What needs the upstream is answered with the request to connect it, in the form of the client's era. What a client
//! sends before a person asks for anything (the handshake, lists) is answered with little but the truth, because a client
//! that cannot start never gets to show the request to connect. The one tool that is listed is [`TOOL`]: calling it, like
//! calling anything, gives the request to connect.

mod legacy;
mod modern;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

pub use legacy::answer as legacy_answer;
pub use modern::{answer as modern_answer, connected_answer, declined_answer, input_key};

use super::RequestId;

/// What there is to say about a connection that is missing.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// What people call the route.
    pub service: &'a str,
    /// The route.
    pub operation_id: &'a str,
    /// The upstream.
    pub upstream_id: &'a str,
    /// What people call the upstream.
    pub upstream_title: &'a str,
    /// Why it must be connected.
    pub state: &'static str,
    /// The sentence for the person.
    pub message: &'a str,
    /// What the person opens.
    pub url: &'a str,
    /// Names this request to connect.
    pub elicitation_id: &'a str,
    /// Names the kind of connection.
    pub auth_profile_id: &'a str,
}

/// An answer to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The message; none for 202.
    pub body: Option<String>,
    /// Whether a session begins with it.
    pub opens_session: bool,
}

impl Answer {
    /// What a notification gets.
    pub const ACCEPTED: Self = Self { status: StatusCode::ACCEPTED, body: None, opens_session: false };

    /// A message with its status.
    pub fn message(status: StatusCode, body: String) -> Self {
        Self { status, body: Some(body), opens_session: false }
    }

    fn result(id: &RequestId, result: &impl Serialize) -> Self {
        #[derive(Serialize)]
        struct Response<'a, R> {
            jsonrpc: &'static str,
            id: &'a RequestId,
            result: &'a R,
        }
        // Nothing in it can fail to be JSON: the keys are strings and there is no writer.
        let body = serde_json::to_string(&Response { jsonrpc: "2.0", id, result }).unwrap_or_default();
        Self::message(StatusCode::OK, body)
    }
}

/// The tool that is listed in place of the upstream's.
#[derive(Serialize)]
struct Tool {
    name: &'static str,
    title: String,
    description: String,
    #[serde(rename = "inputSchema")]
    input_schema: Schema,
}

#[derive(Serialize)]
struct Schema {
    r#type: &'static str,
    properties: Value,
}

/// A list of that tool alone.
#[derive(Serialize)]
struct ToolList {
    tools: [Tool; 1],
}

#[derive(Serialize)]
struct Implementation<'a> {
    name: &'a str,
    version: &'static str,
}

impl ToolList {
    fn of(notice: &Notice<'_>) -> Self {
        let tool = Tool {
            name: TOOL,
            title: format!("Connect {}", notice.upstream_title),
            description: format!("{} Call this tool to get the link.", notice.message),
            input_schema: Schema { r#type: "object", properties: json!({}) },
        };
        Self { tools: [tool] }
    }
}

impl<'a> Implementation<'a> {
    const fn of(service: &'a str) -> Self {
        Self { name: service, version: env!("CARGO_PKG_VERSION") }
    }
}

/// What a model is told about the service.
fn instructions(notice: &Notice<'_>) -> String {
    format!(
        "{} Until then only the tool `{TOOL}` is available; list the tools again afterwards. The link to open: {}",
        notice.message, notice.url
    )
}

/// The name of a list's only member.
fn list_member(method: &str) -> Option<&'static str> {
    match method {
        "prompts/list" => Some("prompts"),
        "resources/list" => Some("resources"),
        "resources/templates/list" => Some("resourceTemplates"),
        _ => None,
    }
}

/// The name of the tool that is listed in place of the upstream's.
pub const TOOL: &str = "connect";
