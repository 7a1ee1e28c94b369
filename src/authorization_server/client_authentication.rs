//! Who the client at the token and revocation endpoints is (RFC 6749 section 2.3, RFC 7523 section 2.2).

use http::{HeaderValue, StatusCode, header};

use super::{
    AuthorizationServer, TOKEN,
    authorize::canonical,
    clients::{Authentication, Client, KeyError, NoClient},
    token::{token_error, token_failure, token_unavailable},
};
use crate::{
    clock::Timestamp,
    crypto::{Digest, SignedJwtError},
    oauth::{
        ClientKeys, Params, TokenError, client_assertion,
        client_auth::{ClientAuthError, Presented},
    },
    store::{self, ClientId},
    web::{Request, Response},
};

impl AuthorizationServer {
    /// The client that the request proves to come from, or the answer that refuses it.
    ///
    /// A client with a secret may send it either way, since both prove the same; one with a key pair must sign an
    /// assertion every time; a public client proves nothing here, and must not come with anything. An unknown client gets
    /// 401 `invalid_client`, which is what makes clients register anew.
    pub(super) async fn authenticate(&self, request: &Request, params: &Params) -> Result<Client, Response> {
        let authorization = request.headers.get_all(header::AUTHORIZATION);
        let presented = Presented::parse(authorization.iter().map(HeaderValue::as_bytes), params)
            .map_err(|error| token_error(request, None, error.token_error(), reason(&error)))?;
        let client = self.find_for_token(request, params, presented.client_id()).await?;
        let refusal = match (&presented, &client.authentication) {
            (Presented::Public { .. }, Authentication::None) => None,
            (Presented::Secret { secret, .. }, Authentication::Secret(kept)) => {
                (!kept.matches(&Digest::of(secret.expose()))).then_some("wrong_client_secret")
            }
            (Presented::Assertion { assertion, .. }, Authentication::KeyPair(keys)) => {
                return match self.check_assertion(request, &client, keys, assertion.expose()).await {
                    Ok(()) => Ok(client),
                    Err(answer) => Err(answer),
                };
            }
            (Presented::Public { .. }, Authentication::Secret(_)) => Some("missing_client_secret"),
            (_, Authentication::KeyPair(_)) => Some("missing_client_assertion"),
            (Presented::Secret { .. }, Authentication::None) => Some("unexpected_client_secret"),
            (Presented::Assertion { .. }, Authentication::None | Authentication::Secret(_)) => {
                Some("unexpected_client_assertion")
            }
        };
        match refusal {
            None => Ok(client),
            Some(reason) => Err(token_error(request, Some(&client), TokenError::InvalidClient, reason)),
        }
    }

    /// The client of this id. What it publishes is fetched only if the request comes with something that we, or an issuer
    /// that we trust, issued to it: a stranger must not be able to choose what the gateway fetches.
    async fn find_for_token(&self, request: &Request, params: &Params, id: &ClientId) -> Result<Client, Response> {
        let no_client = |error: NoClient| no_client_answer(request, id, &error);
        let at_hand = self.clients.find_at_hand(id).await.map_err(no_client)?;
        if let Some(client) = at_hand.filter(|client| self.clients.has_keys_of(client)) {
            return Ok(client);
        }
        match self.was_issued_something(params, id).await {
            Ok(true) => self.clients.find(id).await.map_err(no_client),
            // RFC 7009 section 2.2: the answer does not tell whether there was a token.
            Ok(false) if params.get("grant_type") == Ok(None) => Err(Response::empty(StatusCode::OK)),
            Ok(false) => Err(token_error(request, None, TokenError::InvalidGrant, "nothing_issued_to_client")),
            Err(error) => Err(token_unavailable(request, &error)),
        }
    }

    /// Whether a code or a token of the request belongs to a living grant of this client, or a trusted issuer's assertion
    /// names it.
    async fn was_issued_something(&self, params: &Params, id: &ClientId) -> store::Result<bool> {
        let now = self.clock.now();
        let value = |name| params.get(name).ok().flatten().map(Digest::of);
        if let Some(code) = value("code") {
            return Ok(self.store.code(&code, now).await?.is_some_and(|code| code.grant.client_id == *id));
        }
        if let Ok(Some(assertion)) = params.get("assertion") {
            let assertion = self.identity.trusted_issuers().verify(assertion).await;
            return Ok(assertion.is_ok_and(|assertion| assertion.client_id == id.as_str()));
        }
        for token in [value("refresh_token"), value("token")].into_iter().flatten() {
            if self.store.refresh_token(&token, now).await?.is_some_and(|token| token.grant.client_id == *id) {
                return Ok(true);
            }
            if self.store.access_token(&token, now).await?.is_some_and(|token| token.grant.client_id == *id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks that `assertion` was signed by the client, for us, now, and was not seen before (RFC 7523 section 3).
    async fn check_assertion(
        &self,
        request: &Request,
        client: &Client,
        keys: &ClientKeys,
        assertion: &str,
    ) -> Result<(), Response> {
        let refused = |reason| token_error(request, Some(client), TokenError::InvalidClient, reason);
        let signed = match self.clients.verify(assertion, keys).await {
            Ok(signed) => signed,
            Err(KeyError::Unreadable(error)) => {
                tracing::warn!(event = "mcp_auth_client_document_failed", requestId = %request.id,
                    clientId = %client.id, outcome = "failure", failureOrigin = "client", error = %error,
                    "the keys of a client could not be read");
                return Err(token_failure(TokenError::TemporarilyUnavailable, "unreadable_client_keys"));
            }
            Err(KeyError::NotAKeySet(_)) => return Err(refused("unusable_client_keys")),
            Err(KeyError::Assertion(SignedJwtError::UnknownKey)) => return Err(refused("unknown_client_key")),
            Err(KeyError::Assertion(SignedJwtError::Algorithm)) => return Err(refused("client_assertion_algorithm")),
            Err(KeyError::Assertion(_)) => return Err(refused("forged_client_assertion")),
        };
        let now = self.clock.now();
        let used = match client_assertion::check(&signed, &client.id, &self.names(request), now.as_seconds()) {
            Ok(used) => used,
            Err(error) => {
                tracing::info!(requestId = %request.id, clientId = %client.id, cause = %error, "client assertion refused");
                return Err(refused("client_assertion_claims"));
            }
        };
        let digest = Digest::of(&format!("client assertion {} {}", client.id, used.jti));
        match self.store.spend_ticket(&digest, Timestamp::from_seconds(used.expires_at), now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(refused("replayed_client_assertion")),
            Err(error) => Err(token_unavailable(request, &error)),
        }
    }

    /// What an assertion for us may name as its audience: each of our issuers, and the token endpoint.
    fn names(&self, request: &Request) -> Vec<String> {
        let origin = &request.origin;
        let own = [origin.to_string(), self.settings.base_path.url(origin, TOKEN)];
        own.into_iter().chain(self.routes.iter().map(|route| canonical(origin, route))).collect()
    }
}

/// The answer to a client that cannot be told.
fn no_client_answer(request: &Request, id: &ClientId, error: &NoClient) -> Response {
    match error {
        NoClient::Store(error) => token_unavailable(request, error),
        NoClient::Document { source, .. } => {
            tracing::warn!(event = "mcp_auth_client_document_failed", requestId = %request.id, clientId = %id,
                outcome = "failure", failureOrigin = "client", reasonCode = error.reason(), error = %source,
                "the metadata document of a client is not usable");
            if error.is_passing() {
                return token_failure(TokenError::TemporarilyUnavailable, error.reason());
            }
            token_error(request, None, TokenError::InvalidClient, error.reason())
        }
        NoClient::Unknown | NoClient::Url(_) => token_error(request, None, TokenError::InvalidClient, error.reason()),
    }
}

/// What the log says of a client that does not present itself as one may.
const fn reason(error: &ClientAuthError) -> &'static str {
    match error {
        ClientAuthError::Missing => "missing_client_id",
        ClientAuthError::Duplicate(_) | ClientAuthError::SeveralMethods => "ambiguous_client_authentication",
        ClientAuthError::WrongScheme | ClientAuthError::Assertion => "unsupported_client_authentication",
        ClientAuthError::Base64(_)
        | ClientAuthError::Utf8(_)
        | ClientAuthError::NoPair
        | ClientAuthError::Encoding(_) => "malformed_client_authentication",
    }
}
