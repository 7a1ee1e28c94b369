//! The answer to a request whose token does not open the route (RFC 6750 section 3, RFC 9728 section 5.1).

use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use crate::{
    oauth::scope,
    resource_server::Refusal,
    web::{Origin, RequestId, Response},
};

/// Why a request does not get in.
#[derive(Debug)]
pub enum Denial {
    /// The resource server refused its token.
    Token(Refusal),
    /// A token came in the query; with one in the header too, or alone.
    TokenInQuery {
        /// Whether there is an `Authorization` header as well.
        and_header: bool,
    },
}

/// How a denial looks on the wire.
struct Form {
    status: StatusCode,
    reason: &'static str,
    /// The OAuth error code and sentence; none where no token was presented.
    error: Option<(&'static str, &'static str)>,
}

impl Denial {
    /// The reason code for the log.
    pub fn reason(&self) -> &'static str {
        self.form(true).reason
    }

    /// The answer, with the challenge that starts the client's discovery.
    ///
    /// `path` is the path as the client sent it, because its metadata document must name exactly that resource.
    pub fn response(&self, headers: &HeaderMap, origin: &Origin, path: &str, id: &RequestId) -> Response {
        let form = self.form(speaks_bearer(headers));
        let (error, description) = form.error.unwrap_or(("unauthorized", "An access token is required."));
        let body = json!({"error": error, "error_description": description, "request_id": id.as_str()});
        let response = Response::json(form.status, &body);
        if form.status == StatusCode::SERVICE_UNAVAILABLE {
            return response.with(header::RETRY_AFTER, RETRY_AFTER);
        }
        response.with(header::WWW_AUTHENTICATE, &challenge(form.error, origin, path))
    }

    fn form(&self, speaks_bearer: bool) -> Form {
        let (status, reason, error) = match self {
            Self::Token(Refusal::Missing) | Self::TokenInQuery { and_header: false } => {
                (StatusCode::UNAUTHORIZED, "missing_token", None)
            }
            Self::Token(Refusal::Malformed) if !speaks_bearer => (StatusCode::UNAUTHORIZED, "missing_token", None),
            Self::Token(Refusal::Malformed) => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                Some(("invalid_request", "The Authorization header does not hold one bearer token.")),
            ),
            Self::TokenInQuery { and_header: true } => (
                StatusCode::BAD_REQUEST,
                "invalid_request",
                Some(("invalid_request", "The access token was sent in more than one way.")),
            ),
            Self::Token(Refusal::Invalid) => (
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                Some(("invalid_token", "The access token is unknown, expired or revoked.")),
            ),
            Self::Token(Refusal::InvalidAudience) => (
                StatusCode::UNAUTHORIZED,
                "invalid_audience",
                Some(("invalid_token", "The access token is not for this route.")),
            ),
            Self::Token(Refusal::InsufficientScope) => (
                StatusCode::FORBIDDEN,
                "insufficient_scope",
                Some(("insufficient_scope", "The access token lacks the scope mcp:tools.")),
            ),
            Self::Token(Refusal::Unavailable(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unavailable",
                Some(("temporarily_unavailable", "Access tokens cannot be checked at the moment.")),
            ),
        };
        Form { status, reason, error }
    }
}

/// The `WWW-Authenticate` value.
fn challenge(error: Option<(&str, &str)>, origin: &Origin, path: &str) -> String {
    let metadata = format!("{origin}/.well-known/oauth-protected-resource{path}");
    let challenge = format!(r#"Bearer realm="OAuth", resource_metadata="{metadata}", scope="{}""#, scope::TOOLS);
    match error {
        None => challenge,
        Some((error, description)) => {
            format!(r#"{challenge}, error="{error}", error_description="{description}""#)
        }
    }
}

/// Whether the only `Authorization` header tries the bearer scheme; another scheme is no token at all.
fn speaks_bearer(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return true };
    value.as_bytes().get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
}

/// Seconds until a client should try again.
const RETRY_AFTER: &str = "5";
