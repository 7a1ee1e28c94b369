//! The authorization response (RFC 6749 section 4.1.2, RFC 9207).

use thiserror::Error;

use super::{AuthorizationServer, UpstreamError};
use crate::{
    crypto::Secret,
    oauth::{Duplicate, Params},
};

/// Why an authorization response yields no code.
///
/// `Display` is the operator's sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Error {
    /// It came from another issuer, or from one that keeps back the `iss` that it promised.
    #[error("the authorization response did not come from the issuer it was asked of (iss {})", if *.present { "differs" } else { "is missing" })]
    Issuer {
        /// Whether there was an `iss` at all.
        present: bool,
    },
    /// A parameter was sent more than once.
    #[error(transparent)]
    Repeated(#[from] Duplicate),
    /// The authorization server, or the person there, refused.
    #[error("the authorization server refused: {0}")]
    Refused(UpstreamError),
    /// Neither a code nor an error.
    #[error("the authorization response has neither a code nor an error")]
    NoCode,
}

impl Error {
    /// Whether the same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Refused(error) if matches!(error.code(), "temporarily_unavailable" | "server_error"))
    }

    /// The upstream's own error, which may be shown to the person; never that of an unproven issuer.
    pub const fn upstream_error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Issuer { .. } | Self::Repeated(_) | Self::NoCode => None,
        }
    }

    /// What the person at the browser is told.
    pub fn user_sentence(&self) -> &'static str {
        match self {
            Self::Refused(error) => match error.code() {
                "access_denied" => "The connection was not allowed. You can try again.",
                "temporarily_unavailable" | "server_error" => {
                    "The service can't be reached at the moment. Try again in a few minutes."
                }
                "login_required" | "consent_required" | "interaction_required" | "account_selection_required" => {
                    "The service did not ask you, as the gateway is set up to prevent that. An administrator can change it."
                }
                _ => "The service refused to connect. Its own words are below.",
            },
            Self::Issuer { .. } | Self::Repeated(_) | Self::NoCode => {
                "The answer of the service could not be verified."
            }
        }
    }

    /// What the operator can do.
    pub fn operator_hint(&self) -> &'static str {
        match self {
            Self::Issuer { .. } => {
                "Someone may be mixing up authorization servers; if it happens always, the metadata of this one is wrong."
            }
            Self::Refused(error) => match error.code() {
                "access_denied" => "Nothing, unless the organisation at the upstream must allow this gateway first.",
                "invalid_scope" => "Set the upstream's `scopes` to some that it offers.",
                "invalid_target" | "invalid_resource" => {
                    "Set the upstream's `resource` to `omit` or to the URI that it wants."
                }
                "invalid_client" | "unauthorized_client" => {
                    "Check the client that was registered by hand, and that the gateway's callback is among its redirect URIs."
                }
                "login_required" | "consent_required" | "interaction_required" | "account_selection_required" => {
                    "Do not set the upstream's `prompt` to `none`."
                }
                _ => "The upstream's own description is on the failure page.",
            },
            Self::Repeated(_) | Self::NoCode => {
                "The authorization server does not follow RFC 6749; who runs it must correct it."
            }
        }
    }
}

/// Checks an authorization response against the server that was asked, and yields its code.
///
/// The caller has found `server` by the `state`, which was bound to the browser session. The issuer comes first, for
/// errors too: on a mismatch nothing of the response may be acted on or shown.
pub fn check_callback(server: &AuthorizationServer, params: &Params) -> Result<Secret, Error> {
    match params.get("iss")? {
        // RFC 9207 section 2.4: plain string comparison, no normalization.
        Some(iss) if iss == server.issuer => {}
        None if !server.iss_supported => {}
        iss => return Err(Error::Issuer { present: iss.is_some() }),
    }
    if let Some(code) = params.get("error")? {
        return Err(Error::Refused(UpstreamError::new(code, params.get("error_description")?)));
    }
    params.get("code")?.map(Secret::new).ok_or(Error::NoCode)
}
