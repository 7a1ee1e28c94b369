//! The JSON-RPC errors that the gateway itself sends.

use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::RequestId;

/// A JSON-RPC error code that a gateway may send.
///
/// MCP 2026-07-28 allows the codes that JSON-RPC and MCP define, and for everything else only numbers outside the
/// reserved range -32768 to -32000. Ours are there: the HTTP status that they come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(i32);

impl Code {
    /// The body is not JSON.
    pub const PARSE_ERROR: Self = Self(-32700);
    /// The body is JSON and no JSON-RPC message.
    pub const INVALID_REQUEST: Self = Self(-32600);
    /// There is no such method here.
    pub const METHOD_NOT_FOUND: Self = Self(-32601);
    /// The parameters are wrong.
    pub const INVALID_PARAMS: Self = Self(-32602);
    /// We failed.
    pub const INTERNAL_ERROR: Self = Self(-32603);
    /// There is no such resource (MCP up to 2025-11-25).
    pub const RESOURCE_NOT_FOUND: Self = Self(-32002);
    /// A header is missing, or does not agree with the body (MCP 2026-07-28).
    pub const HEADER_MISMATCH: Self = Self(-32020);
    /// The client lacks a capability that the request needs (MCP 2026-07-28).
    pub const MISSING_CAPABILITY: Self = Self(-32021);
    /// The user must open a URL first (MCP 2025-11-25 only).
    pub const URL_ELICITATION_REQUIRED: Self = Self(-32042);
    /// The protocol version is not supported (MCP 2026-07-28).
    pub const UNSUPPORTED_VERSION: Self = Self(-32022);

    /// The code of a refusal that only HTTP has a number for.
    pub fn of_status(status: StatusCode) -> Self {
        Self(i32::from(status.as_u16()))
    }

    /// The number on the wire.
    pub const fn as_i32(self) -> i32 {
        self.0
    }
}

/// The body of a JSON-RPC error.
///
/// Without an id, because the message was not read, the member is left out: MCP forbids a null one. `message` is a fixed
/// sentence; `data` is what the code's definition wants, or names the request for the log.
pub fn error_response(id: Option<&RequestId>, code: Code, message: &str, data: Option<Value>) -> String {
    error_with(id, code, message, data.as_ref())
}

/// The same with `data` of any form, its members in their order.
pub(super) fn error_with(
    id: Option<&RequestId>,
    code: Code,
    message: &str,
    data: Option<&(impl Serialize + ?Sized)>,
) -> String {
    let response = Response { jsonrpc: "2.0", id, error: Error { code, message, data } };
    // Nothing in it can fail to be JSON: the keys are strings and there is no writer.
    serde_json::to_string(&response).unwrap_or_default()
}

#[derive(Serialize)]
struct Response<'a, D: Serialize> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    error: Error<'a, D>,
}

#[derive(Serialize)]
struct Error<'a, D: Serialize> {
    code: Code,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<D>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON-RPC 2.0 section 5.1.
    #[test]
    fn an_error_echoes_the_id_with_its_type() {
        for (id, expected) in [
            (RequestId::Integer(7), r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"Method not found"}}"#),
            (
                RequestId::Text("7".to_owned()),
                r#"{"jsonrpc":"2.0","id":"7","error":{"code":-32601,"message":"Method not found"}}"#,
            ),
        ] {
            assert_eq!(error_response(Some(&id), Code::METHOD_NOT_FOUND, "Method not found", None), expected);
        }
    }

    #[test]
    fn an_error_without_a_known_id_has_none() {
        let data = json!({"requestId": "r1"});
        assert_eq!(
            error_response(None, Code::of_status(StatusCode::BAD_GATEWAY), "The upstream is down.", Some(data)),
            r#"{"jsonrpc":"2.0","error":{"code":502,"message":"The upstream is down.","data":{"requestId":"r1"}}}"#
        );
    }

    /// MCP 2026-07-28, base protocol: what is not defined stays out of the reserved range.
    #[test]
    fn codes_are_defined_ones_or_outside_the_reserved_range() {
        let defined = [
            Code::PARSE_ERROR,
            Code::INVALID_REQUEST,
            Code::METHOD_NOT_FOUND,
            Code::INVALID_PARAMS,
            Code::INTERNAL_ERROR,
            Code::HEADER_MISMATCH,
            Code::MISSING_CAPABILITY,
            Code::UNSUPPORTED_VERSION,
            Code::URL_ELICITATION_REQUIRED,
            Code::RESOURCE_NOT_FOUND,
        ];
        let numbers = defined.map(Code::as_i32);
        assert_eq!(numbers, [-32700, -32600, -32601, -32602, -32603, -32020, -32021, -32022, -32042, -32002]);
        for status in 100..=999 {
            let code = Code::of_status(StatusCode::from_u16(status).unwrap()).as_i32();
            assert!(!(-32768..=-32000).contains(&code));
        }
    }

    proptest! {
        #[test]
        fn any_id_and_message_give_json(id in "\\PC{0,20}", message in "\\PC{0,20}") {
            let body = error_response(Some(&RequestId::Text(id.clone())), Code::INTERNAL_ERROR, &message, None);
            let body: Value = serde_json::from_str(&body).unwrap();
            prop_assert_eq!(&body["id"], &json!(id));
            prop_assert_eq!(&body["error"]["message"], &json!(message));
        }
    }
}
