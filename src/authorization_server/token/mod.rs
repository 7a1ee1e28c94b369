//! The token endpoint (RFC 6749 section 3.2).

mod code;
mod refresh;

use std::time::Duration;

use http::{StatusCode, header};
use serde::Serialize;

use super::{AuthorizationServer, authorize::is_resource};
use crate::{
    clock::Timestamp,
    crypto::{Digest, random_token},
    oauth::{Params, TokenError},
    store::{Client, Grant, IssuedTokens},
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
    refresh_token: &'a str,
    scope: &'a str,
    resource: &'a str,
}

impl AuthorizationServer {
    /// Answers a token request; a cookie never plays a part in it.
    pub(super) async fn token(&self, request: &Request) -> Response {
        if !is_form(request) {
            return token_error(request, TokenError::InvalidRequest);
        }
        let Ok(params) = Params::parse(&request.body) else {
            return token_error(request, TokenError::InvalidRequest);
        };
        let client = match self.authenticate(request, &params).await {
            Ok(client) => client,
            Err(answer) => return answer,
        };
        match params.get("grant_type") {
            Ok(Some("authorization_code")) => self.redeem_code(request, &params, &client).await,
            Ok(Some("refresh_token")) => self.refresh(request, &params, &client).await,
            Ok(Some(_)) => token_error(request, TokenError::UnsupportedGrantType),
            Ok(None) | Err(_) => token_error(request, TokenError::InvalidRequest),
        }
    }

    fn new_pair(&self, grant: &Grant, now: Timestamp) -> Pair {
        Pair {
            access_token: random_token("at_"),
            refresh_token: random_token("rt_"),
            access_expires_at: now.plus(self.settings.access_token_ttl).min(grant.expires_at),
        }
    }

    /// Notes that a client is in use, at most once a day, for the 90 days that unused ones are kept.
    pub(super) async fn note_use(&self, client: &Client, now: Timestamp) {
        if client.last_used_at.until(now) < TOUCH_EVERY {
            return;
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

    fn response(&self, grant: &Grant, now: Timestamp) -> Response {
        Response::json(
            StatusCode::OK,
            &Granted {
                access_token: &self.access_token,
                token_type: "Bearer",
                expires_in: now.until(self.access_expires_at).as_secs(),
                refresh_token: &self.refresh_token,
                scope: &grant.scope,
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

/// The error answer, and the one log line that names it.
pub(super) fn token_error(request: &Request, error: TokenError) -> Response {
    tracing::info!(event = "mcp_auth_token_request_rejected", requestId = %request.id, reasonCode = error.as_str(),
        "token request refused");
    let response = Response::json(error.status(), &error.body());
    let challenge = matches!(error, TokenError::InvalidClient) && request.headers.contains_key(header::AUTHORIZATION);
    match error {
        TokenError::TemporarilyUnavailable => response.with(header::RETRY_AFTER, "2"),
        _ if challenge => response.with(header::WWW_AUTHENTICATE, "Basic realm=\"OAuth\""),
        _ => response,
    }
}

/// The answer while the store is down.
pub(super) fn token_unavailable(request: &Request, error: &crate::store::Error) -> Response {
    tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, error = error as &dyn std::error::Error,
        "a token request could not be answered");
    token_error(request, TokenError::TemporarilyUnavailable)
}

const TOUCH_EVERY: Duration = Duration::from_hours(24);
