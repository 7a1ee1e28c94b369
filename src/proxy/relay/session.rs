//! Binds MCP sessions to who opened them.
//!
//! The upstream's session id never reaches a client. What the client gets is that id, sealed for one subject, one client
//! and one route, so that nobody else can use it anywhere, and nothing has to be stored (MCP security best practices,
//! session hijacking).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    crypto::KeyRing,
    policy::Permit,
    proxy::{exchange::McpSession, failure::Failure},
};

/// The header of MCP sessions.
pub const MCP_SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// The header of the protocol version.
pub const MCP_PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");

/// Seals and opens session ids.
pub struct McpSessions(Arc<KeyRing>);

impl McpSessions {
    /// Sessions sealed with this ring.
    pub fn new(keys: Arc<KeyRing>) -> Self {
        Self(keys)
    }

    /// The upstream's session id as `permit`'s client may know it.
    ///
    /// A session that the client already named keeps its name, so that the id stays stable for the client.
    pub fn seal(&self, known: Option<&McpSession>, upstream: &HeaderValue, permit: &Permit) -> Option<HeaderValue> {
        if let Some(known) = known
            && known.plain.as_ref() == Some(upstream)
        {
            return Some(known.sealed.clone());
        }
        if upstream.is_empty() {
            return None;
        }
        self.name(upstream.as_bytes(), permit)
    }

    /// The name of a session behind which there is none of the upstream.
    ///
    /// What is sealed is the empty text, which no upstream's session has for a name.
    pub fn seal_own(&self, permit: &Permit) -> Option<HeaderValue> {
        self.name(b"", permit)
    }

    fn name(&self, plain: &[u8], permit: &Permit) -> Option<HeaderValue> {
        let sealed = self.0.seal(&context(permit), plain);
        HeaderValue::try_from(URL_SAFE_NO_PAD.encode(sealed)).ok()
    }

    /// The session that a request names; a foreign, forged or second one does not exist.
    pub fn open(&self, headers: &HeaderMap, permit: &Permit) -> Result<Option<McpSession>, Failure> {
        let mut values = headers.get_all(&MCP_SESSION_ID).iter();
        let Some(sealed) = values.next() else { return Ok(None) };
        if values.next().is_some() || sealed.len() > LONGEST {
            return Err(Failure::UnknownSession);
        }
        let plain = URL_SAFE_NO_PAD
            .decode(sealed.as_bytes())
            .ok()
            .and_then(|bytes| self.0.open(&context(permit), &bytes).ok())
            .and_then(|plain| HeaderValue::from_bytes(&plain).ok())
            .ok_or(Failure::UnknownSession)?;
        Ok(Some(McpSession { sealed: sealed.clone(), plain: (!plain.is_empty()).then_some(plain) }))
    }
}

/// Whose session and where: no part can hold a line break except the client id and subject, whose lengths are given.
fn context(permit: &Permit) -> String {
    let principal = permit.principal();
    let (subject, client) = (principal.subject().as_str(), principal.client_id().as_str());
    format!("mcp-session\n{}\n{}\n{subject}\n{client}\n{}", subject.len(), client.len(), permit.route().operation_id)
}

/// Checks the form of `MCP-Protocol-Version` and says whether it names a revision without sessions.
///
/// An unknown version of the right form goes on to the upstream, who knows what it speaks.
pub fn check_protocol_version(headers: &HeaderMap) -> Result<bool, Failure> {
    let mut values = headers.get_all(&MCP_PROTOCOL_VERSION).iter();
    let Some(value) = values.next() else { return Ok(false) };
    let version = value.to_str().or(Err(Failure::BadProtocolVersion))?.trim();
    if values.next().is_some() || !is_version(version) {
        return Err(Failure::BadProtocolVersion);
    }
    Ok(version >= FIRST_SESSIONLESS)
}

/// `YYYY-MM-DD`.
fn is_version(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(index, byte)| match index {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

const FIRST_SESSIONLESS: &str = "2026-07-28";
/// A sealed id is the upstream's plus about 60 bytes, a third longer for base64.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &'static str) -> Result<bool, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(MCP_PROTOCOL_VERSION, HeaderValue::from_static(text));
        check_protocol_version(&headers)
    }

    #[test]
    fn a_protocol_version_is_a_date_and_an_unknown_one_is_fine() {
        assert_eq!(check_protocol_version(&HeaderMap::new()), Ok(false));
        assert_eq!(version("2025-11-25"), Ok(false));
        assert_eq!(version("1999-01-01"), Ok(false));
        assert_eq!(version("2026-07-28"), Ok(true));
        assert_eq!(version("2031-01-01"), Ok(true));
        for bad in ["", "1", "latest", "2025-11-25x", "2025/11/25", "2025-11-2a"] {
            assert_eq!(version(bad), Err(Failure::BadProtocolVersion), "{bad}");
        }
    }
}
