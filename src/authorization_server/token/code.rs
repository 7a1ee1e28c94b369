//! Redeeming an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::{resource_fits, token_error, token_unavailable};
use crate::{
    authorization_server::{AuthorizationServer, clients::Client},
    crypto::Digest,
    oauth::{CodeChallenge, Params, TokenError},
    store::{Change, Code, RedeemedCode},
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
        let refused = |error, reason| token_error(request, Some(client), error, reason);
        let (Ok(Some(code)), Ok(verifier), Ok(redirect_uri)) =
            (params.get("code"), params.get("code_verifier"), params.get("redirect_uri"))
        else {
            return refused(TokenError::InvalidRequest, "malformed_parameters");
        };
        let now = self.clock.now();
        let digest = Digest::of(code);
        let kept = match self.store.code(&digest, now).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return refused(TokenError::InvalidGrant, "unknown_code"),
            Err(error) => return token_unavailable(request, &error),
        };
        if let Err(reason) = check_proof(&kept, client, verifier, redirect_uri) {
            return match self.store.burn_code(&digest, now).await {
                Ok(()) => refused(TokenError::InvalidGrant, reason),
                Err(error) => token_unavailable(request, &error),
            };
        }
        if !Self::is_at_origin(request, client, &kept.grant) {
            return refused(TokenError::InvalidGrant, "grant_of_another_origin");
        }
        if !resource_fits(params, &kept.grant.resource) {
            return refused(TokenError::InvalidTarget, "wrong_resource");
        }
        let pair = self.new_pair(&kept.grant, now);
        match self.store.redeem_code(&digest, &pair.digests(), now).await {
            Ok(RedeemedCode::Redeemed) => {
                self.note_use(client, now).await;
                tracing::info!(event = "mcp_auth_downstream_token_issued", requestId = %request.id,
                    clientId = %client.id, subjectId = %kept.grant.subject, operationId = %kept.grant.operation_id,
                    grantId = %kept.grant.id, grantType = "authorization_code", outcome = "success", "tokens issued");
                pair.response(&kept.grant, &kept.grant.scope, now)
            }
            Ok(RedeemedCode::Replayed) => {
                self.changes.publish(&Change::GrantRevoked(kept.grant.id.clone()));
                tracing::warn!(event = "mcp_auth_downstream_code_replayed", requestId = %request.id,
                    clientId = %client.id, subjectId = %kept.grant.subject, operationId = %kept.grant.operation_id,
                    grantId = %kept.grant.id, "a code came twice; whatever it issued is revoked");
                refused(TokenError::InvalidGrant, "replayed_code")
            }
            Ok(RedeemedCode::Dead) => refused(TokenError::InvalidGrant, "expired_code"),
            Err(error) => token_unavailable(request, &error),
        }
    }
}

/// Checks that the request comes from who began the authorization: the same client, redirect URI and PKCE secret.
///
/// A request without a redirect URI is one of OAuth 2.1, where the PKCE secret alone binds the two requests.
fn check_proof(
    kept: &Code,
    client: &Client,
    verifier: Option<&str>,
    redirect_uri: Option<&str>,
) -> Result<(), &'static str> {
    if kept.grant.client_id != client.id {
        return Err("code_of_another_client");
    }
    if redirect_uri.is_some_and(|redirect_uri| redirect_uri != kept.bound.redirect_uri) {
        return Err("wrong_redirect_uri");
    }
    let verifier = verifier.ok_or("missing_code_verifier")?;
    CodeChallenge::from_stored(&kept.bound.code_challenge).verify(verifier).or(Err("wrong_code_verifier"))
}
