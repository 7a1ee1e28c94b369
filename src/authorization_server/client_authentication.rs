//! Who the client at the token and revocation endpoints is (RFC 6749 section 2.3).

use http::{HeaderValue, header};

use super::{
    AuthorizationServer,
    token::{token_error, token_unavailable},
};
use crate::{
    crypto::Digest,
    oauth::{
        AuthMethod, Params, TokenError,
        client_auth::{ClientAuthError, Presented},
    },
    store::Client,
    web::{Request, Response},
};

impl AuthorizationServer {
    /// The client that the request proves to come from, or the answer that refuses it.
    ///
    /// A confidential client may send its secret either way, since both prove the same; a public client proves nothing
    /// here, and must not come with a secret. An unknown client gets 401 `invalid_client`, which is what makes clients
    /// register anew.
    pub(super) async fn authenticate(&self, request: &Request, params: &Params) -> Result<Client, Response> {
        let authorization = request.headers.get_all(header::AUTHORIZATION);
        let presented = Presented::parse(authorization.iter().map(HeaderValue::as_bytes), params)
            .map_err(|error| token_error(request, None, error.token_error(), reason(&error)))?;
        let client = match self.store.client(presented.client_id()).await {
            Ok(Some(client)) => client,
            Ok(None) => return Err(token_error(request, None, TokenError::InvalidClient, "unknown_client")),
            Err(error) => return Err(token_unavailable(request, &error)),
        };
        let refusal = match (&presented, client.auth_method, &client.secret_digest) {
            (Presented::Public { .. }, AuthMethod::None, _) => None,
            (
                Presented::Secret { secret, .. },
                AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost,
                Some(kept),
            ) => (!kept.matches(&Digest::of(secret.expose()))).then_some("wrong_client_secret"),
            (Presented::Public { .. }, ..) => Some("missing_client_secret"),
            (Presented::Secret { .. }, ..) => Some("unexpected_client_secret"),
        };
        match refusal {
            None => Ok(client),
            Some(reason) => Err(token_error(request, Some(&client), TokenError::InvalidClient, reason)),
        }
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
