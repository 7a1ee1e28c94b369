//! Requests to the token and revocation endpoints (RFC 6749 sections 4.1.3 and 6, RFC 7009).

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;

use super::{
    AuthorizationClient, AuthorizationServer, KeyError, RegisteredClient, Tokens, UpstreamError, answer,
    assertion::Audience,
    client::LIMITS,
    fault::is_busy,
    request,
    token_response::{self, Grant},
};
use crate::{
    crypto::Secret,
    oauth::metadata::JWT_BEARER,
    outbound,
    upstream::{OauthSettings, Resource},
};

/// A code to be exchanged, and what its request was bound to.
#[derive(Debug, Clone, Copy)]
pub struct CodeExchange<'a> {
    /// The code.
    pub code: &'a Secret,
    /// The redirect URI of the authorization request.
    pub redirect_uri: &'a str,
    /// The PKCE verifier of the authorization request.
    pub code_verifier: &'a Secret,
}

/// What is to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token.
    Access,
    /// A refresh token, and with it usually the whole grant.
    Refresh,
}

/// What became of a revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// The token is no longer valid, or never was.
    Revoked,
    /// The authorization server has no revocation endpoint.
    NotOffered,
}

/// Why there are no tokens.
///
/// `Display` is the operator's sentence; it names hosts and error codes only.
#[derive(Debug, Error)]
pub enum Error {
    /// The code or the refresh token is no longer good. Nothing else ends a connection.
    #[error("{host} says that the grant is over: {error}")]
    Ended {
        /// The authorization server.
        host: String,
        /// What it says.
        error: UpstreamError,
    },
    /// The authorization server does not know us, or not by these credentials.
    #[error("{host} does not accept the gateway as its client: {error}")]
    ClientRejected {
        /// The authorization server.
        host: String,
        /// What it says.
        error: UpstreamError,
    },
    /// The authorization server refused for another reason.
    #[error("{host} refused with status {status}: {error}")]
    Refused {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        error: UpstreamError,
    },
    /// The authorization server can't answer now.
    #[error("{host} can't answer at the moment (status {status})")]
    Busy {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is neither tokens nor an error: often a page of something that stands in between.
    #[error("{host} answered with status {status} and no token response")]
    NotATokenResponse {
        /// The authorization server.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The token needs a proof of possession that was not asked for.
    #[error("{host} gave a token that is not a bearer token")]
    TokenType {
        /// The authorization server.
        host: String,
    },
    /// The endpoint could not be reached.
    #[error("the token endpoint failed: {0}")]
    Unreachable(#[source] outbound::Error),
    /// The assertion that proves who we are could not be made.
    #[error("the client assertion could not be made: {0}")]
    Assertion(#[from] KeyError),
}

impl Error {
    /// Whether the refresh token may still be good: everything but the authorization server's word that it is not, or
    /// that it does not know its client.
    pub const fn is_transient(&self) -> bool {
        !matches!(self, Self::Ended { .. } | Self::ClientRejected { .. })
    }

    /// Whether the very same may work later without anybody changing anything.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::NotATokenResponse { .. } | Self::Unreachable(_))
    }

    /// How long the authorization server asks to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The upstream's own error, which may be shown to the person.
    pub const fn upstream_error(&self) -> Option<&UpstreamError> {
        match self {
            Self::Ended { error, .. } | Self::ClientRejected { error, .. } | Self::Refused { error, .. } => Some(error),
            _ => None,
        }
    }

    /// What the person at the browser is told.
    pub const fn user_sentence(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "The connection took too long or was already used. Connect again.",
            Self::ClientRejected { .. } => "The service no longer knows this gateway. Connect again.",
            Self::Busy { .. } | Self::NotATokenResponse { .. } | Self::Unreachable(_) | Self::Assertion(_) => {
                "The service can't be reached at the moment. Try again in a few minutes."
            }
            Self::Refused { .. } | Self::TokenType { .. } => {
                "The service and this gateway are not set up for each other. An administrator can see why in the gateway's log."
            }
        }
    }

    /// What the operator can do.
    pub fn operator_hint(&self) -> &'static str {
        match self {
            Self::Ended { .. } => "Nothing; the person connects again.",
            Self::ClientRejected { .. } => {
                "A client that registered itself is registered anew. Of one that was registered by hand check `clientId`, `clientSecret` and `tokenEndpointAuthMethod`."
            }
            Self::Refused { error, .. } => match error.code() {
                "invalid_target" | "invalid_resource" => {
                    "Set the upstream's `resource` to `omit` or to the URI that it wants."
                }
                "invalid_scope" => "Set the upstream's `scopes` to some that it offers.",
                _ => "If it stays so, connect again. Entra wants `resource: omit` and its scopes in `scopes`.",
            },
            Self::Unreachable(outbound::Error::Blocked { .. } | outbound::Error::NotHttps { .. }) => {
                "Add the network of the authorization server to `outbound.allowPrivateNetworks`."
            }
            Self::Busy { .. } | Self::NotATokenResponse { .. } | Self::Unreachable(_) => {
                "Nothing; it is tried again. If it stays so, something in between may be blocking the gateway."
            }
            Self::Assertion(_) => "See the gateway's log for the request id; its store keeps the key.",
            Self::TokenType { .. } => "The authorization server must be set up to give bearer tokens to this client.",
        }
    }
}

impl AuthorizationClient {
    /// Exchanges a code (RFC 6749 section 4.1.3) at the server that the flow began with.
    pub async fn exchange_code(
        &self,
        server: &AuthorizationServer,
        client: &RegisteredClient,
        exchange: CodeExchange<'_>,
        settings: &OauthSettings,
    ) -> Result<Tokens, Error> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", exchange.code.expose()),
            ("redirect_uri", exchange.redirect_uri),
            ("code_verifier", exchange.code_verifier.expose()),
        ];
        form.extend(request::resource(server, settings).map(|resource| ("resource", resource)));
        self.ask(server, client, form, Grant::Code, settings).await
    }

    /// Refreshes (RFC 6749 section 6). If no new refresh token comes, the old one is in the result.
    ///
    /// `scope` is sent only where `resource` is not and scopes are configured: to Entra it names the audience.
    pub async fn refresh(
        &self,
        server: &AuthorizationServer,
        client: &RegisteredClient,
        refresh_token: &str,
        settings: &OauthSettings,
    ) -> Result<Tokens, Error> {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        form.extend(request::resource(server, settings).map(|resource| ("resource", resource)));
        let scope = settings.scopes.join(&settings.scope_delimiter);
        if settings.resource == Resource::Omit && !scope.is_empty() {
            form.push(("scope", &scope));
        }
        let mut tokens = self.ask(server, client, form, Grant::RefreshToken, settings).await?;
        tokens.refresh_token.get_or_insert_with(|| Secret::new(refresh_token));
        Ok(tokens)
    }

    /// Redeems an identity assertion (RFC 7523 section 2.1) at the one server that it was made for.
    pub async fn redeem_assertion(
        &self,
        server: &AuthorizationServer,
        client: &RegisteredClient,
        assertion: &Secret,
        settings: &OauthSettings,
    ) -> Result<Tokens, Error> {
        let mut form = vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose())];
        form.extend(request::resource(server, settings).map(|resource| ("resource", resource)));
        self.ask(server, client, form, Grant::Assertion, settings).await
    }

    /// Revokes a token (RFC 7009 section 2).
    pub async fn revoke(
        &self,
        server: &AuthorizationServer,
        client: &RegisteredClient,
        token: &Secret,
        kind: TokenKind,
    ) -> Result<Revocation, Error> {
        let Some(endpoint) = &server.revocation_endpoint else { return Ok(Revocation::NotOffered) };
        let hint = match kind {
            TokenKind::Access => "access_token",
            TokenKind::Refresh => "refresh_token",
        };
        let mut form = vec![("token", token.expose()), ("token_type_hint", hint)];
        // Never the token endpoint, which would let a false revocation endpoint use the assertion there.
        let proof = self.proof(server, client, Audience::Issuer).await?;
        let authorization = client.present(proof.as_ref(), &mut form);
        let answer = self.client.post_form(endpoint, &form, authorization, LIMITS).await.map_err(Error::Unreachable)?;
        let (host, status) = (endpoint.host_str().unwrap_or_default().to_owned(), answer.status);
        if status.is_success() {
            return Ok(Revocation::Revoked);
        }
        if is_busy(status) {
            return Err(Error::Busy { host, status, retry_after: answer.retry_after });
        }
        Err(match answer::parse(&answer.body).as_ref().and_then(UpstreamError::of) {
            Some(error) if error.code() == "invalid_client" => Error::ClientRejected { host, error },
            Some(error) => Error::Refused { host, status, error },
            None => Error::NotATokenResponse { host, status },
        })
    }

    async fn ask<'a>(
        &self,
        server: &AuthorizationServer,
        client: &'a RegisteredClient,
        form: Vec<(&'a str, &'a str)>,
        grant: Grant,
        settings: &OauthSettings,
    ) -> Result<Tokens, Error> {
        let endpoint = &server.token_endpoint;
        let mut audiences = Audience::of(client).iter().peekable();
        loop {
            let audience = audiences.next().copied().unwrap_or(Audience::Issuer);
            let proof = self.proof(server, client, audience).await?;
            let mut form = form.clone();
            let authorization = client.present(proof.as_ref(), &mut form);
            let answer = self.client.post_form(endpoint, &form, authorization, LIMITS).await;
            let answer = answer.map_err(Error::Unreachable)?;
            let host = endpoint.host_str().unwrap_or_default();
            match token_response::parse(answer, host, grant, &settings.scope_delimiter) {
                Err(Error::ClientRejected { .. }) if audiences.peek().is_some() => {}
                outcome => return outcome,
            }
        }
    }
}
