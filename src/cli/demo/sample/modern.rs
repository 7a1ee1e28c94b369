//! The modern era, 2026-07-28: no handshake; every request says in `_meta` and in headers what it is.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{
    SampleResponse,
    fault::Fault,
    message::{Message, Request},
    tools,
};

/// The versions of this era that the sample server speaks.
pub(super) const VERSIONS: [&str; 1] = ["2026-07-28"];

/// Whether a version name belongs to this era: dates sort as text.
pub(super) fn is_modern_version(version: &str) -> bool {
    let is_date = version.len() == 10
        && version
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    is_date && version >= VERSIONS[0]
}

/// Whether the body says by itself that it is of this era.
pub(super) fn has_modern_meta(body: &Value) -> bool {
    body.pointer("/params/_meta").is_some_and(|meta| meta.get(PROTOCOL_VERSION).is_some())
}

/// Answers one message.
pub(super) fn answer(message: Message, headers: &HeaderMap) -> SampleResponse {
    match message {
        Message::Response => SampleResponse::fault(StatusCode::BAD_REQUEST, None, &Fault::InvalidRequest),
        Message::Notification => match sole(headers, VERSION_HEADER).and_then(check_supported) {
            Ok(()) => SampleResponse::empty(StatusCode::ACCEPTED),
            Err(fault) => SampleResponse::fault(fault.modern_status(), None, &fault),
        },
        Message::Request(request) => match check(&request, headers).and_then(|()| result(&request, headers)) {
            Ok(result) => {
                SampleResponse::json(StatusCode::OK, &json!({"jsonrpc": "2.0", "id": request.id, "result": result}))
            }
            Err(fault) => SampleResponse::fault(fault.modern_status(), Some(&request.id), &fault),
        },
    }
}

/// Checks `_meta`, then that the headers say the same as the body, so that whoever routes by headers is not deceived.
fn check(request: &Request, headers: &HeaderMap) -> Result<(), Fault> {
    let meta = request.params.get("_meta");
    let version = meta.and_then(|meta| meta.get(PROTOCOL_VERSION)).and_then(Value::as_str);
    let version = version.ok_or(Fault::InvalidParams(PROTOCOL_VERSION))?;
    if !meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES)).is_some_and(Value::is_object) {
        return Err(Fault::InvalidParams(CLIENT_CAPABILITIES));
    }
    if sole(headers, VERSION_HEADER)? != version {
        return Err(Fault::HeaderMismatch(VERSION_HEADER));
    }
    check_supported(version)?;
    if sole(headers, METHOD_HEADER)? != request.method {
        return Err(Fault::HeaderMismatch(METHOD_HEADER));
    }
    let named = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(()),
    };
    let name = decode(sole(headers, NAME_HEADER)?)?;
    if request.params.get(named).and_then(Value::as_str) != Some(name.as_str()) {
        return Err(Fault::HeaderMismatch(NAME_HEADER));
    }
    Ok(())
}

fn check_supported(version: &str) -> Result<(), Fault> {
    if VERSIONS.contains(&version) { Ok(()) } else { Err(Fault::UnsupportedVersion { requested: version.to_owned() }) }
}

fn result(request: &Request, headers: &HeaderMap) -> Result<Value, Fault> {
    let mut result = match request.method.as_str() {
        "server/discover" => cacheable(json!({
            "supportedVersions": VERSIONS,
            "capabilities": {"tools": {}},
            "instructions": tools::INSTRUCTIONS,
        })),
        "tools/list" => cacheable(tools::list(&request.params)?),
        "tools/call" => tools::call(&request.params, headers)?,
        _ => return Err(Fault::MethodNotFound),
    };
    result["resultType"] = json!("complete");
    result["_meta"] = json!({SERVER_INFO: tools::server_info()});
    Ok(result)
}

/// The answer is the same for everyone and changes only with the program.
fn cacheable(mut result: Value) -> Value {
    result["ttlMs"] = json!(60_000);
    result["cacheScope"] = json!("public");
    result
}

/// The value of a header that must be there exactly once.
fn sole<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Fault> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => match value.to_str() {
            Ok(text) => Ok(text.trim_matches([' ', '\t'])),
            Err(_) => Err(Fault::HeaderMismatch(name)),
        },
        _ => Err(Fault::HeaderMismatch(name)),
    }
}

/// Undoes `=?base64?…?=`; what does not have both marks is meant literally.
fn decode(value: &str) -> Result<String, Fault> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(value.to_owned());
    };
    let bytes = BASE64_STANDARD.decode(encoded).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Fault::HeaderMismatch(NAME_HEADER))
}

const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
const VERSION_HEADER: &str = "mcp-protocol-version";
const METHOD_HEADER: &str = "mcp-method";
const NAME_HEADER: &str = "mcp-name";
