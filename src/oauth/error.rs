//! The error codes of the standards, each with its fixed sentence and its HTTP status.

use http::StatusCode;
use serde::Serialize;

/// An error that an authorization request can end with (RFC 6749 section 4.1.2.1, RFC 8707 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthorizationError {
    /// Parameters are missing, repeated or malformed.
    InvalidRequest,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// The person, or a rule, said no.
    AccessDenied,
    /// Anything but `code`.
    UnsupportedResponseType,
    /// The scope is malformed.
    InvalidScope,
    /// The resource is missing, malformed or none of ours.
    InvalidTarget,
    /// We failed.
    ServerError,
    /// We cannot serve now, for example because the store does not answer.
    TemporarilyUnavailable,
}

/// An error of the token endpoint and of the revocation endpoint (RFC 6749 section 5.2, RFC 8707 section 2, RFC 7009
/// section 2.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenError {
    /// Parameters are missing, repeated or malformed.
    InvalidRequest,
    /// The client is unknown or did not prove who it is.
    InvalidClient,
    /// The code or refresh token is unknown, used, expired, another client's, or its proof is wrong.
    InvalidGrant,
    /// The client may not use this grant.
    UnauthorizedClient,
    /// A grant type that we do not have.
    UnsupportedGrantType,
    /// The scope is malformed or goes beyond what was granted.
    InvalidScope,
    /// The resource is not the one that was granted.
    InvalidTarget,
    /// We failed.
    ServerError,
    /// We cannot serve now.
    TemporarilyUnavailable,
}

/// An error of the registration endpoint (RFC 7591 section 3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationError {
    /// No redirect URI is usable.
    InvalidRedirectUri,
    /// Another member is not usable.
    InvalidClientMetadata,
}

/// The JSON body of an OAuth error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    /// The code.
    pub error: &'static str,
    /// A fixed sentence for the developer of the client.
    pub error_description: &'static str,
}

impl AuthorizationError {
    /// Every code.
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::UnauthorizedClient,
        Self::AccessDenied,
        Self::UnsupportedResponseType,
        Self::InvalidScope,
        Self::InvalidTarget,
        Self::ServerError,
        Self::TemporarilyUnavailable,
    ];

    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The error of a code that [`AuthorizationError::as_str`] gave, for example one that the store kept.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.as_str() == code)
    }

    /// The sentence that goes with it where nothing more exact is known.
    pub const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is missing a parameter, repeats one, or is malformed.",
            Self::UnauthorizedClient => "The client may not ask for an authorization code.",
            Self::AccessDenied => "The request was denied.",
            Self::UnsupportedResponseType => "Only the response type code is supported.",
            Self::InvalidScope => "The scope is malformed.",
            Self::InvalidTarget => "The resource is missing, malformed or not served here.",
            Self::ServerError => "The server could not finish the request.",
            Self::TemporarilyUnavailable => "The server cannot answer now; try again later.",
        }
    }
}

impl TokenError {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }

    /// The HTTP status; `invalid_client` is always 401, since clients register anew only then.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::InvalidRequest
            | Self::InvalidGrant
            | Self::UnauthorizedClient
            | Self::UnsupportedGrantType
            | Self::InvalidScope
            | Self::InvalidTarget => StatusCode::BAD_REQUEST,
        }
    }

    /// The sentence that goes with it where nothing more exact is known.
    pub const fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest => "The request is missing a parameter, repeats one, or is malformed.",
            Self::InvalidClient => "The client is unknown or its authentication failed.",
            Self::InvalidGrant => "The code or refresh token is invalid, expired, used, or not this client's.",
            Self::UnauthorizedClient => "The client may not use this grant type.",
            Self::UnsupportedGrantType => "The grant type is not supported.",
            Self::InvalidScope => "The scope is malformed or was not granted.",
            Self::InvalidTarget => "The resource is not the one that was granted.",
            Self::ServerError => "The server could not finish the request.",
            Self::TemporarilyUnavailable => "The server cannot answer now; try again later.",
        }
    }

    /// The JSON body.
    pub const fn body(self) -> ErrorBody {
        self.described(self.description())
    }

    /// The JSON body with a more exact sentence.
    pub const fn described(self, error_description: &'static str) -> ErrorBody {
        ErrorBody { error: self.as_str(), error_description }
    }
}

impl RegistrationError {
    /// The code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> StatusCode {
        StatusCode::BAD_REQUEST
    }

    /// The JSON body with a sentence that says what to change.
    pub const fn described(self, error_description: &'static str) -> ErrorBody {
        ErrorBody { error: self.as_str(), error_description }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN_ERRORS: [(TokenError, u16); 9] = [
        (TokenError::InvalidRequest, 400),
        (TokenError::InvalidClient, 401),
        (TokenError::InvalidGrant, 400),
        (TokenError::UnauthorizedClient, 400),
        (TokenError::UnsupportedGrantType, 400),
        (TokenError::InvalidScope, 400),
        (TokenError::InvalidTarget, 400),
        (TokenError::ServerError, 500),
        (TokenError::TemporarilyUnavailable, 503),
    ];

    /// RFC 6749 section 5.2.
    #[test]
    fn token_errors_have_the_statuses_of_the_standard() {
        for (error, status) in TOKEN_ERRORS {
            assert_eq!(error.status(), status, "{error:?}");
        }
    }

    #[test]
    fn a_body_has_code_and_sentence() {
        let json = serde_json::to_string(&TokenError::InvalidClient.body()).unwrap();
        let expected =
            r#"{"error":"invalid_client","error_description":"The client is unknown or its authentication failed."}"#;
        assert_eq!(json, expected);
        let refused = RegistrationError::InvalidRedirectUri.described("No redirect URI is usable.");
        assert_eq!(refused.error, "invalid_redirect_uri");
    }

    #[test]
    fn authorization_errors_survive_the_store() {
        for error in AuthorizationError::ALL {
            assert_eq!(AuthorizationError::from_code(error.as_str()), Some(error));
        }
        assert_eq!(AuthorizationError::from_code("<script>"), None);
    }

    /// RFC 6749 section 5.2: `%x20-21 / %x23-5B / %x5D-7E`.
    #[test]
    fn descriptions_use_only_characters_that_the_standard_allows() {
        let token = TOKEN_ERRORS.map(|(error, _)| error.description());
        let authorization = AuthorizationError::ALL.map(AuthorizationError::description);
        for text in token.iter().chain(&authorization) {
            assert!(text.bytes().all(|byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{text}");
        }
    }
}
