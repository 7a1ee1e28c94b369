//! The answer to a request whose token does not open the route (RFC 6750 section 3, RFC 9728 section 5.1).

use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::{
    oauth::challenge::{BearerError, bearer_challenge},
    resource_server::Refusal,
    web::{Origin, RequestId, Response},
};

/// Why a request does not get in.
#[derive(Debug)]
pub enum Denial {
    /// The resource server refused its token.
    Token(Refusal),
    /// There are several `Authorization` headers, or a token in the query beside the one in the header.
    SeveralTokens,
    /// A token in the query only, where none is read.
    TokenInQuery,
    /// The token is good, and the route is not for its user.
    NotForThisUser,
}

impl Denial {
    /// The denial that a refusal of the resource server means for a request with these headers.
    pub fn of(refusal: Refusal, headers: &HeaderMap) -> Self {
        let several = headers.get_all(header::AUTHORIZATION).iter().nth(1).is_some();
        if several { Self::SeveralTokens } else { Self::Token(refusal) }
    }

    /// The denial of a request that names an access token in its query (RFC 6750 sections 2.3 and 3.1).
    pub fn of_query_token(headers: &HeaderMap) -> Self {
        if headers.contains_key(header::AUTHORIZATION) { Self::SeveralTokens } else { Self::TokenInQuery }
    }

    /// The reason code for the log.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Token(Refusal::Missing) | Self::TokenInQuery => "missing_token",
            Self::Token(Refusal::Malformed | Refusal::Invalid) => "invalid_token",
            Self::Token(Refusal::InvalidAudience) => "invalid_audience",
            Self::Token(Refusal::InsufficientScope) => "insufficient_scope",
            Self::Token(Refusal::Unavailable(_)) => "store_unavailable",
            Self::Token(Refusal::Busy) => "overloaded",
            Self::SeveralTokens => "invalid_request",
            Self::NotForThisUser => "access_denied",
        }
    }

    /// The answer, with the challenge that starts the client's discovery.
    ///
    /// `path` is the path as the client sent it, because its metadata document must name exactly that resource.
    pub fn response(&self, headers: &HeaderMap, origin: &Origin, path: &str, id: &RequestId) -> Response {
        if let Self::Token(Refusal::Unavailable(_) | Refusal::Busy) = self {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return answer(status, "temporarily_unavailable", "Access tokens cannot be checked at the moment.", id)
                .with(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Self::NotForThisUser = self {
            // Without a challenge: no other token of this user would open the route.
            return answer(StatusCode::FORBIDDEN, "access_denied", "This service is not available to you.", id);
        }
        let error = self.error(headers);
        let response = match error {
            None => answer(StatusCode::UNAUTHORIZED, "unauthorized", "An access token is required.", id),
            Some(error) => answer(error.status(), error.as_str(), error.description(), id),
        };
        let metadata = format!("{origin}/.well-known/oauth-protected-resource{path}");
        response.with(header::WWW_AUTHENTICATE, &bearer_challenge(&metadata, error))
    }

    /// The error of the challenge; none where no bearer token was presented.
    fn error(&self, headers: &HeaderMap) -> Option<BearerError> {
        match self {
            Self::SeveralTokens => Some(BearerError::InvalidRequest),
            Self::Token(Refusal::InsufficientScope) => Some(BearerError::InsufficientScope),
            Self::Token(Refusal::Malformed) if !speaks_bearer(headers) => None,
            Self::Token(Refusal::Malformed | Refusal::Invalid | Refusal::InvalidAudience) => {
                Some(BearerError::InvalidToken)
            }
            Self::Token(Refusal::Missing | Refusal::Unavailable(_) | Refusal::Busy)
            | Self::TokenInQuery
            | Self::NotForThisUser => None,
        }
    }
}

fn answer(status: StatusCode, error: &str, description: &str, id: &RequestId) -> Response {
    Response::json(status, &json!({"error": error, "error_description": description, "request_id": id.as_str()}))
}

/// Whether the `Authorization` header is of the bearer scheme; credentials of another are no token at all.
fn speaks_bearer(headers: &HeaderMap) -> bool {
    let scheme = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().get(..6));
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

/// Seconds until a client should try again.
const RETRY_AFTER: &str = "5";
