//! Binds MCP sessions to who opened them.
//!
//! The upstream's session id never reaches a client. What the client gets is that id, sealed for one subject, one client
//! and one route, so that nobody else can use it anywhere, and nothing has to be stored (MCP security best practices,
//! session hijacking).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};

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

    /// The session that a request names; a foreign or forged one does not exist.
    pub fn open(&self, sealed: &str, permit: &Permit) -> Result<McpSession, Failure> {
        let plain = URL_SAFE_NO_PAD
            .decode(sealed)
            .ok()
            .and_then(|bytes| self.0.open(&context(permit), &bytes).ok())
            .and_then(|plain| HeaderValue::from_bytes(&plain).ok())
            .ok_or(Failure::UnknownSession)?;
        let sealed = HeaderValue::from_str(sealed).or(Err(Failure::UnknownSession))?;
        Ok(McpSession { sealed, plain: (!plain.is_empty()).then_some(plain) })
    }
}

/// Whose session and where. The lengths keep one subject and client from reading like another.
fn context(permit: &Permit) -> String {
    let principal = permit.principal();
    let (subject, client) = (principal.subject().as_str(), principal.client_id().as_str());
    format!("mcp-session\n{}\n{}\n{subject}\n{client}\n{}", subject.len(), client.len(), permit.route().operation_id)
}
