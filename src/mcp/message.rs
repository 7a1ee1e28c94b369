//! One JSON-RPC message of a client, read strictly.

use serde_json::value::RawValue;
use thiserror::Error;

use super::{
    Code, RequestId,
    object::{Object, write_object},
};

/// A message of a client.
#[derive(Debug)]
pub enum Message<'a> {
    /// Wants an answer.
    Request(Request<'a>),
    /// Wants none.
    Notification,
    /// Is an answer itself.
    Response,
}

/// A request of a client; only what decisions are taken on is looked into.
#[derive(Debug)]
pub struct Request<'a> {
    /// To be echoed.
    pub id: RequestId,
    /// The method.
    pub method: String,
    /// The parameters; absent ones are empty.
    pub params: Object<'a>,
    envelope: Object<'a>,
}

/// Why a body is not one message.
#[derive(Debug, Error)]
pub enum MessageError {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    NotText(#[from] std::str::Utf8Error),
    /// Not JSON.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but an array, which only revision 2025-03-26 knows as a batch, or no object with distinct members.
    #[error("the body is not one JSON object with distinct members")]
    NotAnObject(#[source] serde_json::Error),
    /// An object that is no JSON-RPC message, or whose parameters are no object with distinct members.
    #[error("the body is not a JSON-RPC message")]
    NotAMessage,
}

impl MessageError {
    /// The code of JSON-RPC 2.0 section 5.1.
    pub const fn code(&self) -> Code {
        match self {
            Self::NotText(_) | Self::NotJson(_) => Code::PARSE_ERROR,
            Self::NotAnObject(_) | Self::NotAMessage => Code::INVALID_REQUEST,
        }
    }

    /// The sentence for people.
    pub const fn sentence(&self) -> &'static str {
        match self {
            Self::NotText(_) | Self::NotJson(_) => "The body is not JSON.",
            Self::NotAnObject(_) | Self::NotAMessage => "The body is not one JSON-RPC message.",
        }
    }
}

impl<'a> Message<'a> {
    /// Reads the body of a POST.
    pub fn parse(body: &'a [u8]) -> Result<Self, MessageError> {
        let text = std::str::from_utf8(body)?;
        let value: &RawValue = serde_json::from_str(text).map_err(MessageError::NotJson)?;
        let envelope: Object<'a> = serde_json::from_str(value.get()).map_err(MessageError::NotAnObject)?;
        if envelope.string("jsonrpc").as_deref() != Some("2.0") {
            return Err(MessageError::NotAMessage);
        }
        if envelope.get("method").is_none() {
            let answers =
                envelope.get("id").is_some() && (envelope.get("result").is_some() != envelope.get("error").is_some());
            return if answers { Ok(Self::Response) } else { Err(MessageError::NotAMessage) };
        }
        let method = envelope.string("method").ok_or(MessageError::NotAMessage)?;
        let Some(id) = envelope.get("id") else { return Ok(Self::Notification) };
        let Ok(id) = serde_json::from_str(id.get()) else { return Err(MessageError::NotAMessage) };
        let params = match envelope.get("params") {
            None => Object::default(),
            Some(_) => envelope.object("params").ok_or(MessageError::NotAMessage)?,
        };
        Ok(Self::Request(Request { id, method, params, envelope }))
    }
}

impl Request<'_> {
    /// The message again, with other parameters; everything else stays as it was written.
    pub fn with_params(&self, params: &str) -> String {
        let put = |(name, value)| if name == "params" { (name, params) } else { (name, value) };
        write_object(self.envelope.members().map(put))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(body: &str) -> Request<'_> {
        match Message::parse(body.as_bytes()) {
            Ok(Message::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn requests_notifications_and_responses_are_told_apart() {
        let read = request(r#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"a"}}"#);
        assert_eq!((read.id, &*read.method), (RequestId::Text("1".to_owned()), "tools/call"));
        assert_eq!(read.params.string("name").as_deref(), Some("a"));
        assert_eq!(request(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).params.members().count(), 0);
        let notification = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert!(matches!(Message::parse(notification), Ok(Message::Notification)));
        for response in [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","id":1,"error":{}}"#] {
            assert!(matches!(Message::parse(response.as_bytes()), Ok(Message::Response)), "{response}");
        }
    }

    /// JSON-RPC 2.0 section 5.1, MCP base protocol.
    #[test]
    fn what_is_no_message_is_refused_with_its_code() {
        for body in ["", " ", "{", "nonsense", "{}{}", "\u{feff}{}"] {
            assert_eq!(Message::parse(body.as_bytes()).unwrap_err().code(), Code::PARSE_ERROR, "{body}");
        }
        assert_eq!(Message::parse(b"{\"a\":\"\xff\"}").unwrap_err().code(), Code::PARSE_ERROR);
        for body in [
            "null",
            "1",
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "{}",
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        ] {
            assert_eq!(Message::parse(body.as_bytes()).unwrap_err().code(), Code::INVALID_REQUEST, "{body}");
        }
    }

    #[test]
    fn a_repeated_member_is_refused_where_decisions_are_taken() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","\u006dethod":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"a","name":"b"}}"#,
        ] {
            assert!(Message::parse(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn other_parameters_leave_the_rest_as_it_was_written() {
        let body = r#"{"jsonrpc":"2.0","x":1.50,"params":{"name":"a"},"id":9007199254740993,"method":"\u0061"}"#;
        let expected = r#"{"jsonrpc":"2.0","x":1.50,"params":{},"id":9007199254740993,"method":"\u0061"}"#;
        assert_eq!(request(body).with_params("{}"), expected);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Message::parse(&body);
        }
    }
}
