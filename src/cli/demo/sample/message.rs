//! One JSON-RPC message as the sample server sees it.

use serde_json::{Map, Value};

use super::fault::Fault;

/// A message of a client.
#[derive(Debug)]
pub(super) enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none: a notification.
    Notification,
    /// Is an answer itself; this server never asked anything.
    Response,
}

/// A request of a client.
#[derive(Debug)]
pub(super) struct Request {
    /// A string or an integer.
    pub(super) id: Value,
    /// The method.
    pub(super) method: String,
    /// The parameters; absent ones are empty.
    pub(super) params: Map<String, Value>,
}

impl Message {
    /// Reads a message; an id is a string or an integer, never null.
    pub(super) fn parse(body: Value) -> Result<Self, Fault> {
        let Value::Object(mut members) = body else { return Err(Fault::InvalidRequest) };
        if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Fault::InvalidRequest);
        }
        let id = match members.remove("id") {
            None => None,
            Some(id) if id.is_string() || id.is_i64() || id.is_u64() => Some(id),
            Some(_) => return Err(Fault::InvalidRequest),
        };
        let params = match members.remove("params") {
            None => Map::new(),
            Some(Value::Object(params)) => params,
            Some(_) => return Err(Fault::InvalidRequest),
        };
        match (members.remove("method"), id) {
            (Some(Value::String(method)), Some(id)) => Ok(Self::Request(Request { id, method, params })),
            (Some(Value::String(_)), None) => Ok(Self::Notification),
            (None, Some(_)) if members.contains_key("result") || members.contains_key("error") => Ok(Self::Response),
            _ => Err(Fault::InvalidRequest),
        }
    }
}
