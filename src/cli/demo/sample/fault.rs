//! Why the sample server refuses a message, and what that is in JSON-RPC.

use http::StatusCode;
use serde_json::{Value, json};

/// A refusal.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("This server answers only local hosts and origins")]
    ForeignOrigin,
    #[error("Parse error")]
    Parse(#[source] serde_json::Error),
    #[error("Invalid request")]
    InvalidRequest,
    #[error("Batches exist only in 2025-03-26")]
    Batch,
    #[error("The MCP-Protocol-Version header names no known version")]
    UnknownVersion,
    #[error("Method not found")]
    MethodNotFound,
    #[error("Missing or malformed: {0}")]
    InvalidParams(&'static str),
    #[error("Unknown tool")]
    UnknownTool,
    #[error("Header mismatch: {0} is missing, repeated, malformed or differs from the body")]
    HeaderMismatch(&'static str),
    #[error("Unsupported protocol version")]
    UnsupportedVersion { requested: String },
}

impl Fault {
    /// The JSON-RPC error response; `id` is left out where the message has none (MCP knows no null id).
    pub(super) fn envelope(&self, id: Option<&Value>) -> Value {
        let mut error = json!({"code": self.code(), "message": self.to_string()});
        if let Self::UnsupportedVersion { requested } = self {
            error["data"] = json!({"supported": super::modern::VERSIONS, "requested": requested});
        }
        let mut envelope = json!({"jsonrpc": "2.0", "error": error});
        if let Some(id) = id {
            envelope["id"] = id.clone();
        }
        envelope
    }

    /// The HTTP status in the legacy era: errors of a well-formed request are answers like any other.
    pub(super) fn legacy_status(&self) -> StatusCode {
        match self {
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::MethodNotFound | Self::InvalidParams(_) | Self::UnknownTool => StatusCode::OK,
            Self::Parse(_)
            | Self::InvalidRequest
            | Self::Batch
            | Self::UnknownVersion
            | Self::HeaderMismatch(_)
            | Self::UnsupportedVersion { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// The HTTP status in the modern era: proxies can tell an error by its status.
    pub(super) fn modern_status(&self) -> StatusCode {
        match self {
            Self::ForeignOrigin => StatusCode::FORBIDDEN,
            Self::MethodNotFound => StatusCode::NOT_FOUND,
            Self::Parse(_)
            | Self::InvalidRequest
            | Self::Batch
            | Self::UnknownVersion
            | Self::InvalidParams(_)
            | Self::UnknownTool
            | Self::HeaderMismatch(_)
            | Self::UnsupportedVersion { .. } => StatusCode::BAD_REQUEST,
        }
    }

    fn code(&self) -> i32 {
        match self {
            Self::Parse(_) => -32700,
            Self::ForeignOrigin | Self::InvalidRequest | Self::Batch | Self::UnknownVersion => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams(_) | Self::UnknownTool => -32602,
            Self::HeaderMismatch(_) => -32020,
            Self::UnsupportedVersion { .. } => -32022,
        }
    }
}
