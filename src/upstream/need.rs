//! What stands in the way of a call that needs a connection.

use std::time::Duration;

use thiserror::Error;

/// Why a connection is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// There is none yet.
    Authenticating,
    /// The upstream ended it, or asks for more scope.
    ReconsentRequired,
    /// It is the gateway's own, and only an administrator can make it.
    AdminConnectRequired,
    /// The person must sign in again, so that the identity provider can speak for them.
    SignInRequired,
}

/// Why a permitted call has no credential.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoCredential {
    /// Somebody has to connect first.
    #[error("the upstream is not connected")]
    ConnectRequired(Need),
    /// The identity provider or the upstream's authorization server does not allow it. Nobody is asked to overrule that.
    #[error("the access is not allowed")]
    Denied,
    /// The store or the upstream's authorization server does not answer; the same call may work later.
    #[error("the credential cannot be had at the moment")]
    Unavailable {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
}

impl Need {
    /// The state as the connect-required answer names it.
    pub const fn state(self) -> &'static str {
        match self {
            Self::Authenticating | Self::SignInRequired => "authenticating",
            Self::ReconsentRequired => "reconsent_required",
            Self::AdminConnectRequired => "admin_connect_required",
        }
    }

    /// The sentence for the person.
    pub fn message(self, upstream: &str) -> String {
        match self {
            Self::Authenticating => format!("Connect {upstream} to continue."),
            Self::SignInRequired => format!("Sign in again to use {upstream}."),
            Self::ReconsentRequired => format!("{upstream} authorization must be renewed."),
            Self::AdminConnectRequired => {
                format!("An administrator must connect {upstream} before this service is available.")
            }
        }
    }
}
