//! What a request of the modern era says of itself, in `_meta` and once more in its headers.

use base64::{Engine, prelude::BASE64_STANDARD};
use http::StatusCode;
use serde::Serialize;

use super::{Code, Era, Head, Request, RequestId, Version, error::error_with, object::Object};

/// What the client behind a request can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAbilities {
    /// It can show its user a URL and ask whether to open it.
    pub url_elicitation: bool,
}

/// Why a request breaks the rules of the modern era.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Misfit {
    /// The method is none of the modern era.
    Removed,
    /// A member of `_meta` is missing.
    Meta(&'static str),
    /// A header is missing, or does not say what the body says.
    Header(&'static str),
    /// A revision that the gateway does not speak.
    Version(String),
}

/// What the body of a request says that its headers repeat.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'a> {
    /// The method.
    pub method: &'a str,
    /// The protocol version in `_meta`.
    pub version: Option<&'a str>,
    /// Whether `_meta` holds the client's capabilities.
    pub has_capabilities: bool,
    /// The parameter that names what the request is about, if its method has one.
    pub name: Option<&'a str>,
}

/// Checks `_meta`, and that the headers say the same as the body, so that whoever routes by headers is not deceived.
pub fn check(head: &Head<'_>, request: &Request<'_>) -> Result<ClientAbilities, Misfit> {
    let meta = request.params.object("_meta").unwrap_or_default();
    let capabilities = meta.object(CLIENT_CAPABILITIES);
    let name = naming_member(&request.method).and_then(|member| request.params.string(member));
    check_claims(
        head,
        &Claims {
            method: &request.method,
            version: meta.string(PROTOCOL_VERSION).as_deref(),
            has_capabilities: capabilities.is_some(),
            name: name.as_deref(),
        },
    )?;
    let url = capabilities.and_then(|capabilities| capabilities.object("elicitation")?.object("url"));
    Ok(ClientAbilities { url_elicitation: url.is_some() })
}

/// The same for a request of which this much is known.
pub fn check_claims(head: &Head<'_>, claims: &Claims<'_>) -> Result<(), Misfit> {
    if REMOVED.contains(&claims.method) {
        return Err(Misfit::Removed);
    }
    let version = claims.version.ok_or(Misfit::Meta(PROTOCOL_VERSION))?;
    if !claims.has_capabilities {
        return Err(Misfit::Meta(CLIENT_CAPABILITIES));
    }
    if version.parse().ok() != head.version {
        return Err(Misfit::Header("MCP-Protocol-Version"));
    }
    if head.version != Some(Version::V2026_07_28) {
        return Err(Misfit::Version(version.to_owned()));
    }
    if head.method != Some(claims.method) {
        return Err(Misfit::Header("Mcp-Method"));
    }
    if naming_member(claims.method).is_some() {
        let name = head.name.and_then(decode);
        if name.is_none() || name.as_deref() != claims.name {
            return Err(Misfit::Header("Mcp-Name"));
        }
    }
    Ok(())
}

/// Whether a request without the header of the modern era claims in its body to be of it.
pub fn claims_modern(request: &Request<'_>) -> bool {
    let version = request.params.object("_meta").and_then(|meta: Object<'_>| meta.string(PROTOCOL_VERSION));
    version.and_then(|version| version.parse::<Version>().ok()).is_some_and(|version| version.era() == Era::Modern)
}

/// Whether a method may ask its client for input instead of answering.
pub fn may_ask(method: &str) -> bool {
    naming_member(method).is_some()
}

impl Misfit {
    /// The status and the body of the answer.
    pub fn answer(&self, id: &RequestId) -> (StatusCode, String) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Removed => {
                let body = error_with(Some(id), Code::METHOD_NOT_FOUND, "Method not found", None::<&()>);
                (StatusCode::NOT_FOUND, body)
            }
            Self::Meta(name) => {
                let message = format!("The request lacks {name} in its _meta.");
                (bad, error_with(Some(id), Code::INVALID_PARAMS, &message, None::<&()>))
            }
            Self::Header(name) => {
                let message = format!("{name} is missing or does not agree with the body.");
                (bad, error_with(Some(id), Code::HEADER_MISMATCH, &message, None::<&()>))
            }
            Self::Version(requested) => {
                let data = Versions { supported: [Version::V2026_07_28.to_string()], requested };
                let message = "The protocol version is not supported.";
                (bad, error_with(Some(id), Code::UNSUPPORTED_VERSION, message, Some(&data)))
            }
        }
    }
}

#[derive(Serialize)]
struct Versions<'a> {
    supported: [String; 1],
    requested: &'a str,
}

/// The parameter that `Mcp-Name` repeats.
fn naming_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" => Some("uri"),
        _ => None,
    }
}

/// Undoes `=?base64?…?=`; what does not have both marks is meant literally.
fn decode(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// The member of `_meta` that names the protocol version.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The member of `_meta` that lists what the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// What the legacy era had and the modern one has not.
const REMOVED: [&str; 7] = [
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/list",
    "tasks/result",
];

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::mcp::Message;

    fn checked(headers: &[(&'static str, &'static str)], body: &str) -> Result<ClientAbilities, Misfit> {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let headers: HeaderMap = headers.iter().map(pair).collect();
        let Ok(Message::Request(request)) = Message::parse(body.as_bytes()) else { panic!("{body}") };
        check(&Head::parse(&headers).unwrap(), &request)
    }

    fn call(capabilities: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"é","_meta":{{
            "io.modelcontextprotocol/protocolVersion":"2026-07-28",
            "io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
        )
    }

    const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    const METHOD: (&str, &str) = ("mcp-method", "tools/call");
    const NAME: (&str, &str) = ("mcp-name", "=?base64?w6k=?=");

    /// MCP 2026-07-28, elicitation: an empty declaration means forms only.
    #[test]
    fn url_elicitation_must_be_declared_in_this_request() {
        for (capabilities, declared) in [
            (r#"{"elicitation":{"url":{}}}"#, true),
            (r#"{"elicitation":{"form":{},"url":{"x":1}},"roots":{}}"#, true),
            ("{}", false),
            (r#"{"elicitation":{}}"#, false),
            (r#"{"elicitation":{"form":{}}}"#, false),
            (r#"{"elicitation":{"url":null}}"#, false),
            (r#"{"elicitation":{"url":{},"url":{}}}"#, false),
            (r#"{"url":{}}"#, false),
        ] {
            let abilities = checked(&[VERSION, METHOD, NAME], &call(capabilities)).unwrap();
            assert_eq!(abilities.url_elicitation, declared, "{capabilities}");
        }
    }

    /// MCP 2026-07-28, Streamable HTTP: headers mirror the body, and who reads the body compares.
    #[test]
    fn headers_must_say_what_the_body_says() {
        let body = call("{}");
        for (headers, name) in [
            (&[("mcp-protocol-version", "2027-01-01"), METHOD, NAME], "MCP-Protocol-Version"),
            (&[VERSION, ("mcp-method", "TOOLS/CALL"), NAME], "Mcp-Method"),
            (&[VERSION, METHOD, ("mcp-name", "echo")], "Mcp-Name"),
            (&[VERSION, METHOD, ("mcp-name", "=?base64?w6k?=")], "Mcp-Name"),
            (&[VERSION, METHOD, ("mcp-name", "=?base64?w6k=")], "Mcp-Name"),
        ] {
            assert_eq!(checked(headers, &body), Err(Misfit::Header(name)), "{headers:?}");
        }
        assert_eq!(checked(&[VERSION, NAME], &body), Err(Misfit::Header("Mcp-Method")));
        assert_eq!(checked(&[VERSION, METHOD], &body), Err(Misfit::Header("Mcp-Name")));
    }

    #[test]
    fn meta_and_version_and_method_must_be_of_the_era() {
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        assert_eq!(checked(&[VERSION], ping), Err(Misfit::Removed));
        assert_eq!(checked(&[VERSION, METHOD, NAME], &call("[]")), Err(Misfit::Meta(CLIENT_CAPABILITIES)));
        let bare = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        assert_eq!(checked(&[VERSION], bare), Err(Misfit::Meta(PROTOCOL_VERSION)));
        let later = call("{}").replace("2026-07-28", "2027-01-01");
        let headers = [("mcp-protocol-version", "2027-01-01"), METHOD, NAME];
        assert_eq!(checked(&headers, &later), Err(Misfit::Version("2027-01-01".to_owned())));
    }

    #[test]
    fn a_misfit_has_its_code_and_status() {
        let answer = |misfit: Misfit| misfit.answer(&RequestId::Integer(7));
        for (misfit, status, code) in [
            (Misfit::Removed, 404, -32601),
            (Misfit::Meta(PROTOCOL_VERSION), 400, -32602),
            (Misfit::Header("Mcp-Name"), 400, -32020),
            (Misfit::Version("2027-01-01".to_owned()), 400, -32022),
        ] {
            let (given, body) = answer(misfit);
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((given.as_u16(), &body["id"], &body["error"]["code"]), (status, &7.into(), &code.into()));
        }
        let (_, body) = answer(Misfit::Version("2027-01-01".to_owned()));
        assert!(body.ends_with(r#""data":{"supported":["2026-07-28"],"requested":"2027-01-01"}}}"#), "{body}");
    }
}
