//! What the headers of a Streamable HTTP request say before anything of its body is read.

use http::{HeaderMap, HeaderValue};
use thiserror::Error;

use super::{Era, MalformedVersion, Version};

/// The MCP headers of one request, as the client claims them; nothing is compared with the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// `MCP-Protocol-Version`; none before 2025-06-18, on `initialize`, and where it names no revision by a date: what
    /// it means, and the error with the revisions there are, is then for whoever stands behind the route.
    pub version: Option<Version>,
    /// `Mcp-Session-Id`; always absent in the modern era, which has no sessions and ignores the header.
    pub session_id: Option<&'a str>,
    /// `Mcp-Method`; the modern era sends it with every request.
    pub method: Option<&'a str>,
    /// `Mcp-Name`: the tool, prompt or resource, as it was sent, possibly in the `=?base64?…?=` form.
    pub name: Option<&'a str>,
    /// `Last-Event-ID`; always absent in the modern era, which resumes nothing.
    pub last_event_id: Option<&'a [u8]>,
}

/// Which header is not what it must be; each is a 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// A header that must come once came with different values.
    #[error("the header {0} came more than once")]
    Repeated(&'static str),
    /// `MCP-Protocol-Version` is no version.
    #[error(transparent)]
    Version(#[from] MalformedVersion),
    /// `Mcp-Session-Id` is empty, above [`MAX_SESSION_ID_BYTES`], or not visible ASCII.
    #[error("Mcp-Session-Id is not visible ASCII of a usual length")]
    SessionId,
    /// `Mcp-Method` or `Mcp-Name` is not ASCII.
    #[error("the header {0} is not ASCII")]
    NotAscii(&'static str),
}

impl<'a> Head<'a> {
    /// Reads the MCP headers.
    pub fn parse(headers: &'a HeaderMap) -> Result<Self, HeadError> {
        let mut found = [PROTOCOL_VERSION, "mcp-method", "mcp-name", SESSION_ID, "last-event-id"].map(Field::new);
        // One look at each header costs less than a search for each name.
        for (name, value) in headers {
            if let Some(field) = found.iter_mut().find(|field| field.name == name.as_str()) {
                field.see(value);
            }
        }
        let [version, method, name, session, event] = found;
        let claimed = |field: Field<'a>| field.single()?.map(|value| text(value, field.name)).transpose();
        let mut head = Self {
            version: claimed(version)?.map(self::version).transpose()?.flatten(),
            session_id: None,
            method: claimed(method)?,
            name: claimed(name)?,
            last_event_id: None,
        };
        if head.era() == Era::Legacy {
            head.session_id = session.single()?.map(session_id).transpose()?;
            head.last_event_id = event.single()?.map(HeaderValue::as_bytes);
        }
        Ok(head)
    }

    /// The era that the version header claims; legacy without one.
    pub fn era(&self) -> Era {
        self.version.map_or(Era::Legacy, Version::era)
    }
}

/// A header that must not come with two values, since two readers could choose differently.
#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'static str,
    first: Option<&'a HeaderValue>,
    differs: bool,
}

impl<'a> Field<'a> {
    const fn new(name: &'static str) -> Self {
        Self { name, first: None, differs: false }
    }

    fn see(&mut self, value: &'a HeaderValue) {
        self.differs |= *self.first.get_or_insert(value) != value;
    }

    const fn single(self) -> Result<Option<&'a HeaderValue>, HeadError> {
        if self.differs { Err(HeadError::Repeated(self.name)) } else { Ok(self.first) }
    }
}

fn text<'a>(value: &'a HeaderValue, name: &'static str) -> Result<&'a str, HeadError> {
    match value.to_str() {
        Ok(text) => Ok(text.trim_matches([' ', '\t'])),
        Err(_) => Err(HeadError::NotAscii(name)),
    }
}

fn version(text: &str) -> Result<Option<Version>, MalformedVersion> {
    match text.parse() {
        Ok(version) => Ok(Some(version)),
        Err(_) if is_word(text) => Ok(None),
        Err(malformed) => Err(malformed),
    }
}

/// Whether a header value is one name, which two readers cannot take for different ones.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn session_id(value: &HeaderValue) -> Result<&str, HeadError> {
    let id = text(value, SESSION_ID)?;
    let is_allowed = (1..=MAX_SESSION_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_allowed { Ok(id) } else { Err(HeadError::SessionId) }
}

const PROTOCOL_VERSION: &str = "mcp-protocol-version";
const SESSION_ID: &str = "mcp-session-id";
/// How long a session id may be; some servers keep a signed token in it.
pub const MAX_SESSION_ID_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |&(name, value): &(&str, &str)| {
            (HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_request_without_mcp_headers_is_legacy() {
        let headers = headers(&[("accept", "application/json")]);
        let head = Head::parse(&headers).unwrap();
        assert_eq!(head.era(), Era::Legacy);
        assert_eq!(head, Head { version: None, session_id: None, method: None, name: None, last_event_id: None });
    }

    #[test]
    fn a_legacy_request_has_a_session_and_a_last_event() {
        let headers = headers(&[
            ("MCP-Protocol-Version", "2025-11-25"),
            ("Mcp-Session-Id", "a.b~!"),
            ("Last-Event-ID", "\u{e4}/1"),
        ]);
        let head = Head::parse(&headers).unwrap();
        assert_eq!(head.version, Some(Version::V2025_11_25));
        assert_eq!(head.session_id, Some("a.b~!"));
        assert_eq!(head.last_event_id, Some("\u{e4}/1".as_bytes()));
    }

    /// MCP 2026-07-28, versioning: the answer lists what is supported, which the gateway does not know.
    #[test]
    fn a_version_that_is_no_date_is_nobodys_but_the_servers() {
        for name in ["latest", "v999.0.0", "2026-07-28-draft", "2026-13-01"] {
            let headers = headers(&[("mcp-protocol-version", name)]);
            assert_eq!(Head::parse(&headers).map(|head| head.version), Ok(None), "{name}");
        }
    }

    /// MCP 2026-07-28, Streamable HTTP: session id and last event id are ignored, whatever they hold.
    #[test]
    fn a_modern_request_has_a_method_and_no_session() {
        let headers = headers(&[
            ("mcp-protocol-version", " 2026-07-28 "),
            ("mcp-method", "tools/call"),
            ("mcp-name", "echo"),
            ("mcp-session-id", ""),
            ("mcp-session-id", "b"),
            ("last-event-id", "1"),
        ]);
        let head = Head::parse(&headers).unwrap();
        assert_eq!(head.era(), Era::Modern);
        assert_eq!((head.method, head.name), (Some("tools/call"), Some("echo")));
        assert_eq!((head.session_id, head.last_event_id), (None, None));
    }

    #[test]
    fn a_header_with_two_values_is_refused_and_a_repeated_one_is_not() {
        for name in ["mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id"] {
            let (one, two) = ("2025-11-25", "2025-06-18");
            assert_eq!(Head::parse(&headers(&[(name, one), (name, two)])), Err(HeadError::Repeated(name)), "{name}");
            assert!(Head::parse(&headers(&[(name, one), (name, one)])).is_ok(), "{name}");
        }
    }

    #[test]
    fn malformed_headers_are_named() {
        for (name, value, expected) in [
            ("mcp-protocol-version", "2025/11/25", HeadError::Version(MalformedVersion)),
            ("mcp-protocol-version", &"9".repeat(65), HeadError::Version(MalformedVersion)),
            ("mcp-protocol-version", "", HeadError::Version(MalformedVersion)),
            ("mcp-protocol-version", "2025-11-25, 2025-06-18", HeadError::Version(MalformedVersion)),
            ("mcp-protocol-version", "\u{e4}", HeadError::NotAscii("mcp-protocol-version")),
            ("mcp-session-id", "", HeadError::SessionId),
            ("mcp-session-id", "a b", HeadError::SessionId),
            ("mcp-session-id", "\u{e4}", HeadError::NotAscii("mcp-session-id")),
            ("mcp-session-id", &"a".repeat(MAX_SESSION_ID_BYTES + 1), HeadError::SessionId),
            ("mcp-method", "\u{e4}", HeadError::NotAscii("mcp-method")),
            ("mcp-name", "\u{e4}", HeadError::NotAscii("mcp-name")),
        ] {
            assert_eq!(Head::parse(&headers(&[(name, value)])), Err(expected), "{name}: {value}");
        }
        assert!(Head::parse(&headers(&[("mcp-session-id", &"a".repeat(MAX_SESSION_ID_BYTES))])).is_ok());
    }

    proptest! {
        #[test]
        fn no_header_value_panics(value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
            for name in ["mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id"] {
                let mut headers = HeaderMap::new();
                headers.insert(name, value.clone());
                let _ = Head::parse(&headers);
            }
        }
    }
}
