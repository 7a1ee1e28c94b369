//! Rotating a refresh token (OAuth 2.1 section 4.3).
//!
//! Clients lose answers and race with themselves. So a token that was rotated a moment ago yields, for the grace window,
//! the very pair it yielded before. The store holds that pair sealed with a key that is derived from the presented
//! token, so nobody else can open it, not even with the gateway's own keys.

use serde::{Deserialize, Serialize};

use super::{Pair, resource_fits, token_error, token_unavailable};
use crate::{
    authorization_server::{AuthorizationServer, clients::Client},
    clock::Timestamp,
    crypto::{Digest, KeyRing},
    oauth::{Params, TokenError, scope::refresh_scope},
    store::{Change, Grant, Rotation},
    web::{Request, Response},
};

#[derive(Serialize, Deserialize)]
struct SealedPair {
    access_token: String,
    refresh_token: String,
    access_expires_at: i64,
}

impl AuthorizationServer {
    /// Rotates a refresh token for the client that authenticated.
    pub(super) async fn refresh(&self, request: &Request, params: &Params, client: &Client) -> Response {
        let refused = |error, reason| token_error(request, Some(client), error, reason);
        let (Ok(Some(presented)), Ok(scope)) = (params.get("refresh_token"), params.get("scope")) else {
            return refused(TokenError::InvalidRequest, "malformed_parameters");
        };
        let now = self.clock.now();
        let digest = Digest::of(presented);
        let grant = match self.store.refresh_token(&digest, now).await {
            Ok(Some(kept)) if kept.grant.client_id == client.id => kept.grant,
            Ok(Some(_)) => return refused(TokenError::InvalidGrant, "refresh_token_of_another_client"),
            Ok(None) => return refused(TokenError::InvalidGrant, "unknown_refresh_token"),
            Err(error) => return token_unavailable(request, &error),
        };
        if let Some(answer) = self.throttle.refuse_grant(request, &grant.id) {
            return answer;
        }
        if !Self::is_at_origin(request, client, &grant) {
            return refused(TokenError::InvalidGrant, "grant_of_another_origin");
        }
        if !self.is_served(&grant) {
            return refused(TokenError::InvalidGrant, "unknown_route");
        }
        if !resource_fits(params, &grant.resource) {
            return refused(TokenError::InvalidTarget, "wrong_resource");
        }
        let Ok(scope) = refresh_scope(&grant.scope, scope) else {
            return refused(TokenError::InvalidScope, "malformed_scope");
        };
        let pair = self.new_pair(&grant, now);
        let sealed = seal(presented, &pair);
        let rotation = self
            .store
            .rotate_refresh_token(&digest, &client.id, &pair.digests(), &sealed, self.settings.refresh_grace, now)
            .await;
        match rotation {
            Ok(Rotation::Rotated) => {
                self.note_use(client, now).await;
                Self::issued(request, client, &grant, &scope, &pair, now)
            }
            Ok(Rotation::WithinGrace { sealed_successor }) => match open(presented, &sealed_successor) {
                Some(pair) => Self::issued(request, client, &grant, &scope, &pair, now),
                None => refused(TokenError::InvalidGrant, "unreadable_successor"),
            },
            Ok(Rotation::Reused) => {
                self.changes.publish(&Change::GrantRevoked(grant.id.clone()));
                tracing::warn!(event = "mcp_auth_downstream_refresh_reuse_detected", requestId = %request.id,
                    clientId = %client.id, subjectId = %grant.subject, operationId = %grant.operation_id,
                    grantId = %grant.id, "a rotated refresh token came again; its grant is revoked");
                refused(TokenError::InvalidGrant, "reused_refresh_token")
            }
            Ok(Rotation::Dead) => refused(TokenError::InvalidGrant, "unknown_refresh_token"),
            Err(error) => token_unavailable(request, &error),
        }
    }

    fn issued(request: &Request, client: &Client, grant: &Grant, scope: &str, pair: &Pair, now: Timestamp) -> Response {
        tracing::info!(event = "mcp_auth_downstream_token_issued", requestId = %request.id, clientId = %client.id,
            subjectId = %grant.subject, operationId = %grant.operation_id, grantId = %grant.id,
            grantType = "refresh_token", outcome = "success", "tokens issued");
        pair.response(grant, scope, now)
    }
}

fn seal(presented: &str, pair: &Pair) -> Vec<u8> {
    let plain = serde_json::json!(SealedPair {
        access_token: pair.access_token.clone(),
        refresh_token: pair.refresh_token.clone(),
        access_expires_at: pair.access_expires_at.as_millis(),
    });
    KeyRing::derived(PURPOSE, presented).seal(CONTEXT, plain.to_string().as_bytes())
}

fn open(presented: &str, sealed: &[u8]) -> Option<Pair> {
    let plain = KeyRing::derived(PURPOSE, presented).open(CONTEXT, sealed).ok()?;
    let pair: SealedPair = serde_json::from_slice(&plain).ok()?;
    Some(Pair {
        access_token: pair.access_token,
        refresh_token: pair.refresh_token,
        access_expires_at: Timestamp::from_millis(pair.access_expires_at),
    })
}

const PURPOSE: &str = "sallyport refresh grace";
const CONTEXT: &str = "refresh_tokens/sealed_successor";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_pair_opens_with_the_presented_token_only() {
        let pair = Pair {
            access_token: "at_1".to_owned(),
            refresh_token: "rt_2".to_owned(),
            access_expires_at: Timestamp::from_millis(7),
        };
        let sealed = seal("rt_1", &pair);
        assert_eq!(open("rt_1", &sealed).unwrap().refresh_token, "rt_2");
        assert!(open("rt_x", &sealed).is_none());
        assert!(!String::from_utf8_lossy(&sealed).contains("rt_2"));
    }
}
