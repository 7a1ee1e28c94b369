//! Token revocation (RFC 7009).

use http::StatusCode;

use super::{
    AuthorizationServer,
    token::{token_error, token_unavailable},
};
use crate::{
    crypto::Digest,
    oauth::{Params, TokenError},
    store::{Change, Revoked},
    web::{Request, Response, is_form},
};

impl AuthorizationServer {
    /// Revokes a token of the client that authenticated; the answer does not tell whether there was one.
    pub(super) async fn revoke(&self, request: &Request) -> Response {
        let params = match Params::parse(&request.body) {
            Ok(params) if is_form(request) => params,
            _ => return token_error(request, None, TokenError::InvalidRequest, "malformed_form"),
        };
        let client = match self.authenticate(request, &params).await {
            Ok(client) => client,
            Err(answer) => return answer,
        };
        let Ok(Some(token)) = params.get("token") else {
            return token_error(request, Some(&client), TokenError::InvalidRequest, "malformed_parameters");
        };
        let digest = Digest::of(token);
        let (change, grant) = match self.store.revoke_token(&digest, &client.id, self.clock.now()).await {
            Ok(Revoked::Grant(grant)) => (Change::GrantRevoked(grant.clone()), grant),
            Ok(Revoked::AccessToken(grant)) => (Change::AccessTokenRevoked(digest), grant),
            Ok(Revoked::Nothing) => return Response::empty(StatusCode::OK),
            Err(error) => return token_unavailable(request, &error),
        };
        self.changes.publish(&change);
        tracing::info!(event = "mcp_auth_downstream_token_revoked", requestId = %request.id, clientId = %client.id,
            grantId = %grant, outcome = "success", "token revoked");
        Response::empty(StatusCode::OK)
    }
}
