//! Why an upstream could not be connected.

use thiserror::Error;

use super::sealed::Unreadable;
use crate::{
    store,
    upstream::authorization::{CallbackError, DiscoveryError, RegistrationError, TokenError, UpstreamError},
};

/// Why an upstream could not be connected, by the step that failed.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// Its authorization server was not found.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It did not take us as a client.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// It, or the person there, said no.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// It did not exchange the code.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Our store did not do its part.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A secret could not be sealed or opened.
    #[error(transparent)]
    Seal(#[from] Unreadable),
}

impl ConnectError {
    /// What the person at the browser is told.
    pub fn user_sentence(&self) -> &'static str {
        match self {
            Self::Discovery(error) => error.user_sentence(),
            Self::Registration(error) => error.user_sentence(),
            Self::Callback(error) => error.user_sentence(),
            Self::Token(error) => error.user_sentence(),
            Self::Store(_) | Self::Seal(_) => "The gateway could not keep what it needs to go on.",
        }
    }

    /// What the operator can do.
    pub fn operator_hint(&self) -> &'static str {
        match self {
            Self::Discovery(error) => error.operator_hint(),
            Self::Registration(error) => error.operator_hint(),
            Self::Callback(error) => error.operator_hint(),
            Self::Token(error) => error.operator_hint(),
            Self::Store(_) | Self::Seal(_) => "See the gateway's log for the request id.",
        }
    }

    /// The upstream's own words, if its identity was proven.
    pub fn upstream_error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Registration(error) => error.upstream_error(),
            Self::Callback(error) => error.upstream_error(),
            Self::Token(error) => error.upstream_error(),
            Self::Discovery(_) | Self::Store(_) | Self::Seal(_) => None,
        }
    }
}
