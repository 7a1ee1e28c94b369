//! Why a login failed.

use std::sync::Arc;

use http::StatusCode;

use crate::outbound;

/// Why a login failed.
///
/// `Display` is the operator's sentence. It holds no token, no code and no claim.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The configured issuer is not a URL.
    #[error("the issuer of the identity provider is not a URL: {0}")]
    Issuer(#[source] url::ParseError),
    /// The discovery document could not be fetched.
    #[error("the discovery document of the identity provider could not be read: {0}")]
    Discovery(#[source] Arc<outbound::Error>),
    /// The discovery document is that of another issuer (Discovery section 4.3).
    #[error(
        "the identity provider calls itself {announced:?}, but `identity.issuer` is {configured:?}; they must be equal to the letter"
    )]
    IssuerMismatch {
        /// What the configuration says.
        configured: String,
        /// What the document says, cut to a length that can be logged.
        announced: String,
    },
    /// The discovery document names no usable endpoint of a kind.
    #[error("the discovery document of the identity provider has no usable `{member}`")]
    Endpoint {
        /// The member of the document.
        member: &'static str,
    },
    /// The key set could not be fetched.
    #[error("the keys of the identity provider could not be read: {0}")]
    Keys(#[source] Arc<outbound::Error>),
    /// The `UserInfo` endpoint could not be reached or refused.
    #[error("the UserInfo endpoint of the identity provider failed: {0}")]
    UserInfo(#[source] Arc<outbound::Error>),
    /// The `UserInfo` endpoint speaks of somebody else than the ID token (Core section 5.3.2).
    #[error("the UserInfo endpoint of the identity provider answered about another `sub` than the ID token")]
    UserInfoSubject,
    /// More claims than any honest provider has.
    #[error("the claims of the identity provider are too large")]
    UserInfoTooLarge,
    /// The authorization response came from another issuer, or from one that keeps its name back (RFC 9207).
    #[error("the authorization response did not come from the configured issuer (iss {})", if *.present { "differs" } else { "is missing" })]
    CallbackIssuer {
        /// Whether the response had an `iss` parameter at all.
        present: bool,
    },
    /// The token endpoint could not be reached.
    #[error("the token endpoint of the identity provider failed: {0}")]
    Exchange(#[source] Arc<outbound::Error>),
    /// The token endpoint refused the code or us.
    #[error("the token endpoint of the identity provider refused with status {status} and error {code:?}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The error code (RFC 6749 section 5.2), cut to the characters such a code may have.
        code: String,
    },
    /// The token endpoint answered with something that is no token response.
    #[error("the token endpoint of the identity provider answered with status {status} and no token response")]
    NotATokenResponse {
        /// The status.
        status: StatusCode,
    },
    /// The answer to a token exchange is something else than an identity assertion.
    #[error("the token endpoint of the identity provider gave something else than an identity assertion")]
    NotAnAssertion,
    /// The ID token can't be trusted.
    #[error("the ID token was refused: {0}")]
    IdToken(#[from] IdTokenError),
}

impl Error {
    /// What the operator's log says.
    pub fn log_sentence(&self) -> String {
        self.to_string()
    }

    /// Whether the same may work later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Discovery(_) | Self::Keys(_) | Self::UserInfo(_) | Self::Exchange(_) => true,
            Self::NotATokenResponse { status } | Self::Refused { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            _ => false,
        }
    }

    /// What the person at the browser is told.
    pub fn user_sentence(&self) -> &'static str {
        match self {
            Self::Discovery(_)
            | Self::Keys(_)
            | Self::UserInfo(_)
            | Self::Exchange(_)
            | Self::NotATokenResponse { .. } => "The sign-in service can't be reached at the moment.",
            Self::Refused { code, .. } if code == "invalid_grant" => "The sign-in took too long or was already used.",
            Self::Issuer(_)
            | Self::IssuerMismatch { .. }
            | Self::Endpoint { .. }
            | Self::NotAnAssertion
            | Self::Refused { .. } => "The sign-in service and this gateway are not set up for each other.",
            Self::CallbackIssuer { .. } | Self::IdToken(_) | Self::UserInfoSubject | Self::UserInfoTooLarge => {
                "The answer of the sign-in service could not be verified."
            }
        }
    }
}

/// Why an ID token can't be trusted (OpenID Connect Core section 3.1.3.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// The token response has none.
    #[error("there is none")]
    Missing,
    /// Not a signed JWT with a JSON object inside.
    #[error("it is not a signed JWT")]
    Malformed,
    /// Larger than any honest one.
    #[error("it is too large")]
    TooLarge,
    /// Signed with an algorithm that is not accepted: `none`, a shared secret, or an unknown one.
    #[error("its algorithm is not accepted")]
    Algorithm,
    /// It demands a header extension (`crit`, RFC 7515 section 4.1.11) that is not understood.
    #[error("it demands a header extension that is not understood")]
    Critical,
    /// No key of the provider fits its `kid` and algorithm.
    #[error("no key of the identity provider fits its `kid` and `alg`")]
    UnknownKey,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// Issued by someone else.
    #[error("its `iss` is not the configured issuer")]
    Issuer,
    /// Meant for someone else.
    #[error("its `aud` does not hold our client id")]
    Audience,
    /// Issued to another party.
    #[error("its `azp` is not our client id")]
    AuthorizedParty,
    /// Without an expiry, or past it.
    #[error("its `exp` has passed or is missing")]
    Expired,
    /// Without a time of issue, or issued in the future.
    #[error("its `iat` or `nbf` lies in the future or is missing; compare the clocks of both machines")]
    NotYetValid,
    /// Not of this login.
    #[error("its `nonce` is not that of this login")]
    Nonce,
    /// Issued beside another access token.
    #[error("its `at_hash` does not fit the access token")]
    AccessTokenHash,
    /// Names nobody.
    #[error("its `sub` is missing, empty or too long")]
    Subject,
}
