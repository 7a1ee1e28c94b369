//! Redeeming an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::{resource_fits, token_error, token_unavailable};
use crate::{
    authorization_server::AuthorizationServer,
    crypto::Digest,
    oauth::{CodeChallenge, Params, TokenError},
    store::{Change, Client, Code, RedeemedCode},
    web::{Request, Response},
};

impl AuthorizationServer {
    /// Redeems a code for the client that authenticated.
    ///
    /// The proof is checked first and the code spent in one statement with the tokens kept, so nothing is lost between
    /// the two. A wrong proof spends the code as well: nobody gets a second guess. A wrong `resource` does not, since it
    /// proves nothing about who asks. Only a second use with the right proof revokes the grant, or anybody who saw a
    /// code could end a login with it.
    pub(super) async fn redeem_code(&self, request: &Request, params: &Params, client: &Client) -> Response {
        let (Ok(Some(code)), Ok(verifier), Ok(redirect_uri)) =
            (params.get("code"), params.get("code_verifier"), params.get("redirect_uri"))
        else {
            return token_error(request, TokenError::InvalidRequest);
        };
        let now = self.clock.now();
        let digest = Digest::of(code);
        let kept = match self.store.code(&digest, now).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return token_error(request, TokenError::InvalidGrant),
            Err(error) => return token_unavailable(request, &error),
        };
        if !is_proven(&kept, client, verifier, redirect_uri) {
            return match self.store.burn_code(&digest, now).await {
                Ok(()) => token_error(request, TokenError::InvalidGrant),
                Err(error) => token_unavailable(request, &error),
            };
        }
        if !resource_fits(params, &kept.grant.resource) {
            return token_error(request, TokenError::InvalidTarget);
        }
        let pair = self.new_pair(&kept.grant, now);
        match self.store.redeem_code(&digest, &pair.digests(), now).await {
            Ok(RedeemedCode::Redeemed) => {
                self.note_use(client, now).await;
                tracing::info!(event = "mcp_auth_downstream_token_issued", requestId = %request.id,
                    clientId = %client.id, subjectId = %kept.grant.subject, operationId = %kept.grant.operation_id,
                    grantId = %kept.grant.id, grantType = "authorization_code", "tokens issued");
                pair.response(&kept.grant, now)
            }
            Ok(RedeemedCode::Replayed) => {
                self.changes.publish(&Change::GrantRevoked(kept.grant.id.clone()));
                tracing::warn!(event = "mcp_auth_downstream_code_replayed", requestId = %request.id,
                    clientId = %client.id, subjectId = %kept.grant.subject, operationId = %kept.grant.operation_id,
                    grantId = %kept.grant.id, "a code came twice; what it issued is revoked");
                token_error(request, TokenError::InvalidGrant)
            }
            Ok(RedeemedCode::Dead) => token_error(request, TokenError::InvalidGrant),
            Err(error) => token_unavailable(request, &error),
        }
    }
}

/// Whether the request comes from who began the authorization: the same client, redirect URI and PKCE secret.
fn is_proven(kept: &Code, client: &Client, verifier: Option<&str>, redirect_uri: Option<&str>) -> bool {
    kept.grant.client_id == client.id
        && redirect_uri.is_none_or(|redirect_uri| redirect_uri == kept.bound.redirect_uri)
        && verifier
            .is_some_and(|verifier| CodeChallenge::from_stored(&kept.bound.code_challenge).verify(verifier).is_ok())
}
