//! Using the MCP server behind the gateway, in whichever era it lives.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    http::{Answer, Http, bearer},
    report::{Passed, Problem},
};
use crate::crypto::Secret;

/// A conversation with the server; of the two eras, whichever it speaks.
pub(super) struct Conversation {
    endpoint: Url,
    era: Era,
}

enum Era {
    Modern,
    Legacy { version: String, session: Option<HeaderValue> },
}

/// A tool, as far as the doctor cares.
pub(super) struct Tools(Vec<Value>);

impl Conversation {
    /// Tries `server/discover` of 2026-07-28, then the handshake of the versions before it.
    pub(super) async fn open(http: &Http, endpoint: &Url, access: &Secret) -> Result<Passed<Self>, Problem> {
        let modern = Self { endpoint: endpoint.clone(), era: Era::Modern };
        let answer = modern.send(http, access, "server/discover", json!({})).await?;
        check_reached(&answer)?;
        if let Some(result) = message(&answer).filter(|_| answer.status == StatusCode::OK).and_then(into_result) {
            let server = result.pointer("/_meta/io.modelcontextprotocol~1serverInfo/name").and_then(Value::as_str);
            let note = format!("{MODERN}{}", server.map(|name| format!(", {name}")).unwrap_or_default());
            return Ok(Passed::new(modern, note));
        }
        let mut legacy =
            Self { endpoint: endpoint.clone(), era: Era::Legacy { version: LEGACY.to_owned(), session: None } };
        let params = json!({
            "protocolVersion": LEGACY,
            "capabilities": {},
            "clientInfo": {"name": "sallyport-doctor", "version": env!("CARGO_PKG_VERSION")},
        });
        let answer = legacy.send(http, access, "initialize", params).await?;
        let result = outcome(&answer)?;
        let version = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        let server = result.pointer("/serverInfo/name").and_then(Value::as_str).unwrap_or("a server without a name");
        let note = format!("{version}, {server}");
        legacy.era = Era::Legacy { version, session: answer.headers.get("mcp-session-id").cloned() };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let answer = http.post_json(endpoint, &ready, legacy.headers(access, "", &Value::Null)).await?;
        if !answer.status.is_success() {
            return Err(Problem::new("202 for a notification", answer.summary(), UPSTREAM));
        }
        Ok(Passed::new(legacy, note))
    }

    pub(super) async fn list_tools(&self, http: &Http, access: &Secret) -> Result<Passed<Tools>, Problem> {
        let result = outcome(&self.send(http, access, "tools/list", json!({})).await?)?;
        let Some(tools) = result.get("tools").and_then(Value::as_array) else {
            return Err(Problem::new("a list of tools", "an answer without one", UPSTREAM));
        };
        let note = match tools.len() {
            1 => "1 tool".to_owned(),
            count => format!("{count} tools"),
        };
        Ok(Passed::new(Tools(tools.clone()), note))
    }

    /// Calls `echo` with the same text for every string that it needs, and wants to read it again.
    pub(super) async fn echo(&self, http: &Http, access: &Secret, tools: &Tools) -> Result<Passed<()>, Problem> {
        let schema = tools.find("echo").and_then(|tool| tool.get("inputSchema"));
        let required = schema.and_then(|schema| schema.get("required")).and_then(Value::as_array);
        let names = required.into_iter().flatten().filter_map(Value::as_str);
        let arguments: Map<_, _> = names.map(|name| (name.to_owned(), json!(SAID))).collect();
        let params = json!({"name": "echo", "arguments": arguments});
        let result = outcome(&self.send(http, access, "tools/call", params).await?)?;
        let texts = result.get("content").and_then(Value::as_array).into_iter().flatten();
        if texts.filter_map(|content| content.get("text")?.as_str()).any(|text| text.contains(SAID)) {
            return Ok(Passed::new((), ""));
        }
        Err(Problem::new(format_args!("\"{SAID}\" to come back"), "another answer", UPSTREAM))
    }

    /// Asks the sample server which headers it saw.
    pub(super) async fn check_headers(&self, http: &Http, access: &Secret) -> Result<Passed<()>, Problem> {
        let params = json!({"name": "whoami", "arguments": {}});
        let result = outcome(&self.send(http, access, "tools/call", params).await?)?;
        match result.pointer("/structuredContent/authorization") {
            Some(Value::Bool(false)) => Ok(Passed::new((), "the upstream saw no Authorization header")),
            _ => Err(Problem::new("no Authorization header at the upstream", "one", super::endpoint::REPORT)),
        }
    }

    /// Ends a session that was opened; a server may decline, and nothing depends on it.
    pub(super) async fn close(&self, http: &Http, access: &Secret) {
        if let Era::Legacy { session: Some(_), .. } = &self.era {
            let headers = self.headers(access, "", &Value::Null);
            let _ = http.send(Method::DELETE, &self.endpoint, headers, bytes::Bytes::new()).await;
        }
    }

    async fn send(&self, http: &Http, access: &Secret, method: &str, mut params: Value) -> Result<Answer, Problem> {
        if matches!(self.era, Era::Modern) {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientInfo": {"name": "sallyport-doctor", "version": env!("CARGO_PKG_VERSION")},
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let headers = self.headers(access, method, &params);
        let request = json!({"jsonrpc": "2.0", "id": ID, "method": method, "params": params});
        http.post_json(&self.endpoint, &request, headers).await
    }

    fn headers(&self, access: &Secret, method: &str, params: &Value) -> HeaderMap {
        let mut headers = bearer(access);
        let mut set = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        match &self.era {
            Era::Modern => {
                set("mcp-protocol-version", MODERN);
                set("mcp-method", method);
                if let Some(name) = params.get("name").and_then(Value::as_str) {
                    set("mcp-name", name);
                }
            }
            Era::Legacy { version, session } => {
                if method != "initialize" {
                    set("mcp-protocol-version", version);
                }
                if let Some(session) = session {
                    headers.insert(HeaderName::from_static("mcp-session-id"), session.clone());
                }
            }
        }
        headers
    }
}

impl Tools {
    /// The tool of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(name))
    }

    /// Whether `whoami` is the sample server's, which tells of headers.
    pub(super) fn tells_headers(&self) -> bool {
        self.find("whoami").is_some_and(|tool| tool.pointer("/outputSchema/properties/authorization").is_some())
    }
}

/// The result of a request, or what stands in its way.
fn outcome(answer: &Answer) -> Result<Value, Problem> {
    check_reached(answer)?;
    let message = message(answer);
    let error = message.as_ref().and_then(|message| message.get("error"));
    if let Some(error) = error {
        let code = error.get("code").and_then(Value::as_i64).unwrap_or_default();
        let text = error.get("message").and_then(Value::as_str).unwrap_or_default();
        let advice = if code == CONNECT_REQUIRED {
            "connect the upstream first: use the route with a client that opens the link it is given"
        } else {
            UPSTREAM
        };
        return Err(Problem::new("a result", format_args!("{}, error {code} \"{text}\"", answer.status), advice));
    }
    let result = message.and_then(into_result);
    if result.as_ref().is_some_and(|result| result.get("isError") == Some(&Value::Bool(true))) {
        return Err(Problem::new("a result", "an error of the tool", UPSTREAM));
    }
    result.ok_or_else(|| Problem::new("a JSON-RPC result", answer.summary(), UPSTREAM))
}

/// Tells a closed door and an unreachable upstream from answers of the server.
fn check_reached(answer: &Answer) -> Result<(), Problem> {
    match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err(Problem::new("the token to be accepted", answer.summary(), super::endpoint::REPORT))
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => Err(Problem::new(
            "an answer of the upstream",
            answer.summary(),
            "check that the route's `upstream.url` is right and that the server there runs",
        )),
        _ => Ok(()),
    }
}

fn into_result(mut message: Value) -> Option<Value> {
    message.get_mut("result").map(Value::take)
}

/// The response to our request, from JSON or from a stream of events.
fn message(answer: &Answer) -> Option<Value> {
    if answer.media_type()? != "text/event-stream" {
        return answer.json();
    }
    let text = String::from_utf8_lossy(&answer.body).replace("\r\n", "\n").replace('\r', "\n");
    text.split("\n\n")
        .filter_map(|event| {
            let data = event.lines().filter_map(|line| line.strip_prefix("data:"));
            let data: Vec<_> = data.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
            serde_json::from_str::<Value>(&data.join("\n")).ok()
        })
        .find(|message| message.get("id").and_then(Value::as_str) == Some(ID))
}

const MODERN: &str = "2026-07-28";
const LEGACY: &str = "2025-11-25";
const CONNECT_REQUIRED: i64 = -32042;
const ID: &str = "doctor";
const SAID: &str = "sallyport doctor was here";
const UPSTREAM: &str = "look at the MCP server behind the route, and at the gateway's log";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::header;

    use super::*;

    fn answer(status: StatusCode, kind: &'static str, body: &'static str) -> Answer {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Answer { status, headers, body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn the_response_is_found_in_json_and_among_events() {
        let plain = answer(StatusCode::OK, "application/json", r#"{"id":"doctor","result":{"a":1}}"#);
        assert_eq!(outcome(&plain).unwrap()["a"], 1);
        let stream = answer(
            StatusCode::OK,
            "text/event-stream; charset=utf-8",
            ": hello\r\n\r\nid: 1\r\ndata:\r\n\r\nevent: message\r\ndata: {\"method\":\"notifications/progress\"}\r\n\r\n\
             data: {\"id\":\"doctor\",\r\ndata: \"result\":{\"a\":2}}\r\n\r\n",
        );
        assert_eq!(outcome(&stream).unwrap()["a"], 2);
    }

    #[test]
    fn errors_of_every_layer_are_problems() {
        for (status, body) in [
            (StatusCode::OK, r#"{"id":"doctor","error":{"code":-32042,"message":"Connect Linear to continue."}}"#),
            (StatusCode::OK, r#"{"id":"doctor","result":{"isError":true,"content":[]}}"#),
            (StatusCode::OK, "nothing"),
            (StatusCode::BAD_GATEWAY, r#"{"id":"doctor","result":{}}"#),
            (StatusCode::UNAUTHORIZED, r#"{"id":"doctor","result":{}}"#),
        ] {
            assert!(outcome(&answer(status, "application/json", body)).is_err(), "{body}");
        }
    }
}
