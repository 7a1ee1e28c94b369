//! Consent that is remembered (SEC-36, AS-45).
//!
//! A person who approved a client is not asked again by the very same client for the very same thing. That needs proof
//! that it is the same client: a name or a loopback address that anybody could use is none.

use std::time::Duration;

use super::{AuthorizationServer, consent::Open};
use crate::{
    clock::Timestamp,
    oauth::scope,
    store::{self, Consent, ConsentKey},
    telemetry::causes,
    web::Request,
};

impl AuthorizationServer {
    /// Whether this person consented before to exactly what is asked for now.
    pub(super) async fn is_remembered(&self, open: &Open) -> store::Result<bool> {
        let Open { interaction, client, target, .. } = open;
        if interaction.ask_again || !client.is_proven_at(target) {
            return Ok(false);
        }
        let Some(consent) = self.store.consent(&key(open), self.clock.now()).await? else { return Ok(false) };
        let covered = interaction.scope.split(' ').all(|asked| scope::contains(&consent.scope, asked));
        Ok(covered
            && consent.operation_id == interaction.operation_id
            && consent.metadata.matches(&client.metadata_digest()))
    }

    /// Remembers what the person has just approved, where that is worth something.
    pub(super) async fn remember(&self, request: &Request, open: &Open, now: Timestamp) {
        let Open { interaction, client, target, .. } = open;
        if !client.is_proven_at(target) {
            return;
        }
        let consent = Consent {
            key: key(open),
            operation_id: interaction.operation_id.clone(),
            scope: interaction.scope.clone(),
            metadata: client.metadata_digest(),
            approved_at: now,
            expires_at: now.plus(REMEMBERED_FOR),
        };
        if let Err(error) = self.store.remember_consent(&consent).await {
            tracing::warn!(event = "mcp_auth_store_failed", requestId = %request.id, error = %causes(&error),
                "a consent is not remembered; the person will be asked again");
        }
    }
}

fn key(open: &Open) -> ConsentKey {
    ConsentKey {
        subject: open.signed_in.user().subject.clone(),
        client_id: open.client.id.clone(),
        redirect_uri: open.target.as_str().to_owned(),
        resource: open.interaction.resource.clone(),
    }
}

/// After that the person is asked once more, whatever is remembered.
const REMEMBERED_FOR: Duration = Duration::from_hours(90 * 24);
