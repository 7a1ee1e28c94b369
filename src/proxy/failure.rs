//! The one place where what went wrong at the edge becomes a status, a reason code and a fixed sentence.

use std::time::Duration;

use http::{StatusCode, header};
use pingora::{Error, ErrorSource, ErrorType};
use serde_json::json;

use crate::{
    mcp::{self, Code, HeadError},
    telemetry::Fault,
    web::{RequestId, Response},
};

/// What went wrong, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The request target has a form that no path of ours has.
    BadTarget,
    /// There is no `Host`, or it is no host.
    BadHost,
    /// The `Host` is none that this gateway is served at.
    Misdirected,
    /// The request does not parse, or breaks a rule of HTTP.
    BadRequest,
    /// A method that this path does not answer; holds what it does answer.
    MethodNotAllowed(&'static str),
    /// Nothing is here.
    NotFound,
    /// The request target is too long.
    TargetTooLong,
    /// There are too many header fields, or they are too large.
    HeadTooLarge,
    /// The body is larger than what we read ourselves.
    BodyTooLarge,
    /// The body did not come in time.
    BodyTooSlow,
    /// `MCP-Protocol-Version` is not a version.
    BadProtocolVersion,
    /// Another MCP header is not what it must be.
    BadMcpHeader,
    /// A web page of an origin that is not allowed asks (DNS rebinding, RFC 6454).
    ForeignOrigin,
    /// The MCP session does not exist, or is not this caller's.
    UnknownSession,
    /// No connection to the upstream could be made.
    UpstreamUnreachable,
    /// The upstream's certificate or handshake was refused.
    UpstreamTls,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The upstream's answer broke off or does not parse.
    UpstreamBroken,
    /// The upstream's answer is of a form that the capability filter cannot read, or too large for it.
    UpstreamUnreadable,
    /// The upstream refused the credential that the gateway sent.
    UpstreamUnauthorized,
    /// The upstream redirected where the gateway does not follow.
    UpstreamRedirect,
    /// The credential for the upstream cannot be had at the moment; holds the seconds to wait.
    CredentialUnavailable(u16),
    /// The caller has too much under way at once.
    TooManyRequests,
    /// The gateway has too much under way at once.
    Overloaded,
    /// The identity provider or the upstream's authorization server does not let this person in.
    CredentialDenied,
    /// This process leaves, and another one serves instead.
    Leaving,
    /// The route is not what it was when the request began.
    RouteChanged,
    /// A fault of the gateway itself.
    Internal,
}

/// The wire form of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A JSON-RPC error without an id: what an MCP client reads as the answer to its POST.
    JsonRpc,
    /// A problem document (RFC 9457).
    Problem,
}

impl Failure {
    /// What a Pingora error means; nothing if the client is gone, so that nobody is left to tell.
    pub fn of(error: &Error) -> Option<Self> {
        match (error.esource(), error.etype()) {
            (ErrorSource::Downstream, ErrorType::ReadTimedout) => Some(Self::BodyTooSlow),
            (
                ErrorSource::Downstream,
                ErrorType::ReadError
                | ErrorType::WriteError
                | ErrorType::WriteTimedout
                | ErrorType::ConnectionClosed
                | ErrorType::H2Error,
            ) => None,
            (ErrorSource::Downstream, _) => Some(Self::BadRequest),
            (
                ErrorSource::Upstream,
                ErrorType::ConnectTimedout
                | ErrorType::TLSHandshakeTimedout
                | ErrorType::ReadTimedout
                | ErrorType::WriteTimedout,
            ) => Some(Self::UpstreamTimeout),
            (
                ErrorSource::Upstream,
                ErrorType::ConnectRefused
                | ErrorType::ConnectNoRoute
                | ErrorType::ConnectError
                | ErrorType::SocketError
                | ErrorType::BindError,
            ) => Some(Self::UpstreamUnreachable),
            (
                ErrorSource::Upstream,
                ErrorType::TLSHandshakeFailure
                | ErrorType::HandshakeError
                | ErrorType::InvalidCert
                | ErrorType::TLSWantX509Lookup,
            ) => Some(Self::UpstreamTls),
            (ErrorSource::Upstream, _) => Some(Self::UpstreamBroken),
            (ErrorSource::Internal | ErrorSource::Unset, _) => Some(Self::Internal),
        }
    }

    /// The credential cannot be had before `retry_after` has passed.
    pub fn credential_unavailable(retry_after: Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::CredentialUnavailable(u16::try_from(seconds).unwrap_or(u16::MAX).max(1))
    }

    /// What a head means that breaks the rules of MCP; an odd session id is one that does not exist.
    pub const fn of_mcp_head(error: &HeadError) -> Self {
        match error {
            HeadError::Version(_) => Self::BadProtocolVersion,
            HeadError::SessionId => Self::UnknownSession,
            HeadError::Repeated(_) | HeadError::NotAscii(_) => Self::BadMcpHeader,
        }
    }

    /// The status.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadTarget | Self::BadHost | Self::BadRequest | Self::BadProtocolVersion | Self::BadMcpHeader => {
                StatusCode::BAD_REQUEST
            }
            Self::ForeignOrigin | Self::CredentialDenied => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownSession => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UpstreamUnreachable
            | Self::UpstreamTls
            | Self::UpstreamBroken
            | Self::UpstreamUnreadable
            | Self::UpstreamUnauthorized
            | Self::UpstreamRedirect => StatusCode::BAD_GATEWAY,
            Self::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::CredentialUnavailable(_) | Self::Overloaded | Self::Leaving | Self::RouteChanged => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The reason code in answers and in the log.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::BadTarget => "bad_request_target",
            Self::BadHost => "bad_host",
            Self::Misdirected => "misdirected_request",
            Self::BadRequest => "bad_request",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::NotFound => "not_found",
            Self::TargetTooLong => "uri_too_long",
            Self::HeadTooLarge => "header_fields_too_large",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTooSlow => "body_timeout",
            Self::BadProtocolVersion => "bad_protocol_version",
            Self::BadMcpHeader => "bad_mcp_header",
            Self::ForeignOrigin => "foreign_origin",
            Self::UnknownSession => "unknown_session",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTls => "upstream_tls",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamBroken => "upstream_broken",
            Self::UpstreamUnreadable => "upstream_unreadable",
            Self::UpstreamUnauthorized => "upstream_unauthorized",
            Self::UpstreamRedirect => "upstream_redirect",
            Self::CredentialUnavailable(_) => "credential_unavailable",
            Self::TooManyRequests => "too_many_requests",
            Self::Overloaded => "overloaded",
            Self::CredentialDenied => "credential_denied",
            Self::Leaving => "leaving",
            Self::RouteChanged => "route_changed",
            Self::Internal => "internal",
        }
    }

    /// The sentence for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::BadTarget => "The request target is not a path of this gateway.",
            Self::BadHost => "The Host of the request is missing or is not a valid host.",
            Self::Misdirected => "This gateway is not served at the Host of the request.",
            Self::BadRequest => "The request is not valid HTTP.",
            Self::MethodNotAllowed(_) => "The method is not allowed here.",
            Self::NotFound => "There is nothing at this path.",
            Self::TargetTooLong => "The request target is too long.",
            Self::HeadTooLarge => "The header fields of the request are too many or too large.",
            Self::BodyTooLarge => "The body of the request is too large.",
            Self::BodyTooSlow => "The body of the request did not arrive in time.",
            Self::BadProtocolVersion => "MCP-Protocol-Version is not a protocol version.",
            Self::BadMcpHeader => "An MCP header of the request came twice or is not ASCII.",
            Self::ForeignOrigin => "Requests from this Origin are not allowed.",
            Self::UnknownSession => "Session not found.",
            Self::UpstreamUnreachable => "The upstream could not be reached.",
            Self::UpstreamTls => "No secure connection to the upstream could be made.",
            Self::UpstreamTimeout => "The upstream did not answer.",
            Self::UpstreamBroken => "The upstream's answer broke off.",
            Self::UpstreamUnreadable => "The upstream's answer cannot be read.",
            Self::UpstreamUnauthorized => "The upstream refused the gateway's credential.",
            Self::UpstreamRedirect => "The upstream redirected to where the gateway does not follow.",
            Self::CredentialUnavailable(_) => "The credential for the upstream cannot be renewed at the moment.",
            Self::TooManyRequests => "Too many requests of this user are under way.",
            Self::Overloaded => "The gateway has too much to do at the moment.",
            Self::CredentialDenied => {
                "Your organization's identity provider, or the upstream, does not allow this access."
            }
            Self::Leaving => "This instance of the gateway is stopping.",
            Self::RouteChanged => "The configuration of this route has changed; connect again.",
            Self::Internal => "The gateway failed to handle the request.",
        }
    }

    /// Whose fault it is.
    pub const fn fault(self) -> Fault {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamTls
            | Self::UpstreamTimeout
            | Self::UpstreamBroken
            | Self::UpstreamUnreadable
            | Self::UpstreamUnauthorized
            | Self::UpstreamRedirect
            | Self::CredentialDenied
            | Self::CredentialUnavailable(_) => Fault::Upstream,
            Self::Overloaded | Self::Leaving | Self::RouteChanged | Self::Internal => Fault::Gateway,
            _ => Fault::Client,
        }
    }

    /// The answer that tells the client.
    pub fn response(self, form: Form, id: &RequestId) -> Response {
        let response = match form {
            Form::JsonRpc => {
                let code = match self.fault() {
                    Fault::Client => Code::INVALID_REQUEST,
                    Fault::Upstream | Fault::Gateway => Code::INTERNAL_ERROR,
                };
                let data = json!({"reason": self.reason(), "requestId": id.as_str()});
                let mut response = Response::empty(self.status()).with(header::CONTENT_TYPE, "application/json");
                response.body = mcp::error_response(None, code, self.sentence(), Some(data)).into();
                response
            }
            Form::Problem => {
                let mut response =
                    Response::empty(self.status()).with(header::CONTENT_TYPE, "application/problem+json");
                response.body = json!({
                    "type": "about:blank",
                    "title": self.status().canonical_reason(),
                    "status": self.status().as_u16(),
                    "detail": self.sentence(),
                    "reason": self.reason(),
                    "requestId": id.as_str(),
                })
                .to_string()
                .into();
                response
            }
        };
        match self {
            Self::MethodNotAllowed(allowed) => response.with(header::ALLOW, allowed),
            Self::CredentialUnavailable(seconds) => response.with(header::RETRY_AFTER, &seconds.to_string()),
            Self::TooManyRequests | Self::Leaving | Self::RouteChanged => response.with(header::RETRY_AFTER, "1"),
            Self::Overloaded => response.with(header::RETRY_AFTER, "2"),
            _ => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// JSON-RPC 2.0 section 5.1 and MCP: an error that answers no known id carries none.
    #[test]
    fn a_failed_post_is_a_json_rpc_error_without_an_id() {
        let id = RequestId::accepted("request-1").unwrap();
        let response = Failure::UpstreamTimeout.response(Form::JsonRpc, &id);
        assert_eq!(response.status, 504);
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        let expected = json!({"jsonrpc": "2.0", "error": {"code": -32603, "message": "The upstream did not answer.",
            "data": {"reason": "upstream_timeout", "requestId": "request-1"}}});
        assert_eq!(body, expected);
    }

    /// RFC 9457 section 3.
    #[test]
    fn other_failures_are_problem_documents() {
        let id = RequestId::accepted("request-1").unwrap();
        let response = Failure::MethodNotAllowed("GET").response(Form::Problem, &id);
        assert_eq!(response.headers["content-type"], "application/problem+json");
        assert_eq!(response.headers["allow"], "GET");
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!((&body["status"], &body["title"]), (&json!(405), &json!("Method Not Allowed")));
    }

    #[test]
    fn a_client_that_left_is_told_nothing() {
        let mut error = Error::new_str("gone");
        error.esource = ErrorSource::Downstream;
        error.etype = ErrorType::ConnectionClosed;
        assert_eq!(Failure::of(&error), None);
    }
}
