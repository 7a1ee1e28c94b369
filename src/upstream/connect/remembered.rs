//! The remembered consents on the account page.

use super::{Connect, account::day};
use crate::{
    identity::SignedIn,
    pages::{Remembered, safe_text},
    store::{self, ClientId, Consent},
    web::Request,
};

impl Connect {
    /// What this person is not asked about again, one entry for each client and route.
    pub(super) async fn remembered(&self, signed_in: &SignedIn) -> store::Result<Vec<Remembered>> {
        let mut consents: Vec<Consent> = Vec::new();
        for consent in self.store.consents_of(&signed_in.user().subject, self.clock.now()).await? {
            if !consents.iter().any(|seen| name(seen) == name(&consent)) {
                consents.push(consent);
            }
        }
        let mut remembered = Vec::new();
        for consent in &consents {
            remembered.push(Remembered {
                name: self.client_name(&consent.key.client_id).await?,
                route: self.route_title(&consent.operation_id),
                until: safe_text(&day(consent.expires_at)),
                forget: self.form(signed_in, "forget", &name(consent)),
            });
        }
        Ok(remembered)
    }

    /// Has the person asked again by the client, for the route, that `name` is about.
    pub(super) async fn forget(&self, request: &Request, signed_in: &SignedIn, name: &str) -> store::Result<()> {
        let Some((operation_id, client)) = name.split_once(' ') else { return Ok(()) };
        let (subject, client) = (&signed_in.user().subject, ClientId::new(client));
        if self.store.forget_consents(subject, &client, operation_id).await? > 0 {
            tracing::info!(event = "mcp_auth_consent_forgotten", requestId = %request.id, subjectId = %subject,
                clientId = %client, operationId = operation_id, outcome = "success", "a person wants to be asked again");
        }
        Ok(())
    }
}

/// Names the consents to one client for one route; neither operation ids nor client ids have spaces.
fn name(consent: &Consent) -> String {
    format!("{} {}", consent.operation_id, consent.key.client_id)
}
