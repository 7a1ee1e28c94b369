//! The token endpoint (RFC 6749 section 3.2).

mod code;
mod jwt_bearer;
mod refresh;

use std::time::Duration;

use http::{StatusCode, header};
use serde::Serialize;

use super::{
    AuthorizationServer,
    authorize::is_resource,
    clients::{Authentication, Client, Known},
};
use crate::{
    clock::Timestamp,
    crypto::{Digest, random_token},
    identity::log_store_failure,
    oauth::{Params, TokenError, metadata::JWT_BEARER},
    store::{self, Grant, IssuedTokens},
    web::{Request, Response, is_form},
};

/// A pair of tokens, known here and to the client only.
pub(super) struct Pair {
    access_token: String,
    refresh_token: String,
    access_expires_at: Timestamp,
}

/// A successful answer (RFC 6749 section 5.1).
#[derive(Serialize)]
struct Granted<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    scope: &'a str,
    resource: &'a str,
}

impl AuthorizationServer {
    /// Answers a token request; a cookie never plays a part in it.
    pub(super) async fn token(&self, request: &Request) -> Response {
        let params = match Params::parse(&request.body) {
            Ok(params) if is_form(request) => params,
            _ => return token_error(request, None, TokenError::InvalidRequest, "malformed_form"),
        };
        let client = match self.authenticate(request, &params).await {
            Ok(client) => client,
            Err(answer) => return answer,
        };
        match params.get("grant_type") {
            Ok(Some("authorization_code")) => self.redeem_code(request, &params, &client).await,
            Ok(Some("refresh_token")) => self.refresh(request, &params, &client).await,
            Ok(Some(JWT_BEARER)) if !self.identity.trusted_issuers().is_empty() => {
                self.redeem_assertion(request, &params, &client).await
            }
            Ok(Some(_)) => {
                token_error(request, Some(&client), TokenError::UnsupportedGrantType, "unsupported_grant_type")
            }
            Ok(None) | Err(_) => {
                token_error(request, Some(&client), TokenError::InvalidRequest, "malformed_parameters")
            }
        }
    }

    /// Whether a client that signed for the origin of this request may use a grant that was made there.
    ///
    /// The audience of an assertion is checked with the origin of the request, and where none is pinned that is whatever
    /// the sender says; but a grant knows at which origin it was made.
    pub(super) fn is_at_origin(request: &Request, client: &Client, grant: &Grant) -> bool {
        match client.authentication {
            Authentication::KeyPair(_) => {
                grant.resource.strip_prefix(&request.origin.to_string()).is_some_and(|path| path.starts_with('/'))
            }
            Authentication::None | Authentication::Secret(_) => true,
        }
    }

    fn new_pair(&self, grant: &Grant, now: Timestamp) -> Pair {
        Pair {
            access_token: random_token("at_"),
            refresh_token: random_token("rt_"),
            access_expires_at: now.plus(self.settings.access_token_ttl).min(grant.expires_at),
        }
    }

    /// Whether the route of a grant is still configured; a client whose tokens open nothing must authorize anew.
    pub(super) fn is_served(&self, grant: &Grant) -> bool {
        let after_scheme = grant.resource.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.find('/').map_or("", |start| &after_scheme[start..]);
        self.routes.of(&grant.operation_id).is_some_and(|route| route.path == path)
    }

    /// Notes that a client is in use, at most once a day, for the 90 days that unused ones are kept.
    pub(super) async fn note_use(&self, client: &Client, now: Timestamp) {
        match client.known {
            Known::Registration { last_used_at } if last_used_at.until(now) >= TOUCH_EVERY => {}
            Known::Registration { .. } | Known::Document { .. } => return,
        }
        if let Err(error) = self.store.touch_client(&client.id, now).await {
            tracing::debug!(clientId = %client.id, %error, "the use of a client was not noted");
        }
    }
}

impl Pair {
    fn digests(&self) -> IssuedTokens {
        IssuedTokens {
            access: Digest::of(&self.access_token),
            access_expires_at: self.access_expires_at,
            refresh: Digest::of(&self.refresh_token),
        }
    }

    fn response(&self, grant: &Grant, scope: &str, now: Timestamp) -> Response {
        Response::json(
            StatusCode::OK,
            &Granted {
                access_token: &self.access_token,
                token_type: "Bearer",
                expires_in: now.until(self.access_expires_at).as_secs(),
                refresh_token: Some(&self.refresh_token),
                scope,
                resource: &grant.resource,
            },
        )
        .with(header::PRAGMA, "no-cache")
    }
}

/// Whether the request names no resource, or the one that was granted (RFC 8707 section 2.2).
fn resource_fits(params: &Params, granted: &str) -> bool {
    match params.get("resource") {
        Ok(None) => true,
        Ok(Some(requested)) => is_resource(granted, requested),
        Err(_duplicate) => false,
    }
}

/// The error answer; `reason` is for the log, which may say more than the client learns.
pub(super) fn token_error(
    request: &Request,
    client: Option<&Client>,
    error: TokenError,
    reason: &'static str,
) -> Response {
    tracing::info!(event = "mcp_auth_token_request_rejected", requestId = %request.id,
        clientId = client.map(|client| client.id.as_str()), outcome = "denied", failureOrigin = "client",
        error = error.as_str(), reasonCode = reason, "token request refused");
    let response = Response::json(error.status(), &error.body()).because(reason);
    if error == TokenError::InvalidClient && request.headers.contains_key(header::AUTHORIZATION) {
        return response.with(header::WWW_AUTHENTICATE, "Basic realm=\"OAuth\"");
    }
    response
}

/// The answer where the store did not do its part.
pub(super) fn token_unavailable(request: &Request, error: &store::Error) -> Response {
    let (error, reason) = if log_store_failure(request, error) {
        (TokenError::TemporarilyUnavailable, "store_unavailable")
    } else {
        (TokenError::ServerError, "store_failed")
    };
    token_failure(error, reason)
}

/// The answer where somebody else than the client failed; the line that says why is written where it is known.
pub(super) fn token_failure(error: TokenError, reason: &'static str) -> Response {
    let response = Response::json(error.status(), &error.body()).because(reason);
    if error == TokenError::TemporarilyUnavailable {
        return response.with(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// Seconds until a client should try again.
const RETRY_AFTER: &str = "5";
const TOUCH_EVERY: Duration = Duration::from_hours(24);
