//! What a call through a connection shows upstream, and what is missing otherwise.

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Connections, STALENESS,
    cache::Cached,
    connect_path,
    key::{key_for, key_of, key_settings, oauth_settings},
    scope_union, ticket,
};
use crate::{
    clock::Timestamp,
    policy::Permit,
    store::Owner,
    telemetry::{
        causes,
        counters::{CREDENTIAL_HITS, CREDENTIAL_MISSES},
    },
    upstream::{ConnectLink, Credential, CredentialSource, Credentials, Need, NoCredential, Server, client_document},
    web::Origin,
};

impl Connections {
    /// The connection as it is in memory, if it may be believed.
    fn believed(&self, permit: &Permit, server: &Server, now: Timestamp) -> Option<Arc<Cached>> {
        let owner = (!is_shared(server)).then(|| permit.principal().subject().as_str());
        self.warm.get(owner, &server.id).filter(|cached| cached.loaded_at.is_within(STALENESS, now))
    }
}

fn is_shared(server: &Server) -> bool {
    matches!(server.credential, CredentialSource::SharedOauth(_))
}

#[async_trait]
impl Credentials for Arc<Connections> {
    fn at_hand(&self, permit: &Permit, server: &Server) -> Option<Credential> {
        let settings = oauth_settings(server);
        if settings.is_none() && key_settings(server).is_none() {
            return None;
        }
        let now = self.clock.now();
        let cached = self.believed(permit, server, now)?;
        (settings.is_none() || !cached.is_due(now)).then(|| {
            CREDENTIAL_HITS.count();
            cached.credential(permit)
        })
    }

    async fn credential(&self, permit: &Permit, server: &Server) -> Result<Credential, NoCredential> {
        let (settings, as_key) = (oauth_settings(server), key_settings(server));
        if settings.is_none() && as_key.is_none() {
            return Err(NoCredential::ConnectRequired(Need::Authenticating));
        }
        let now = self.clock.now();
        let key = || key_of(permit.principal().subject(), server, is_shared(server));
        let cached = if let Some(cached) = self.believed(permit, server, now) {
            CREDENTIAL_HITS.count();
            cached
        } else {
            CREDENTIAL_MISSES.count();
            let key = key();
            let loaded = self.load(&key, as_key).await?;
            self.note_use(&key, &loaded).await;
            loaded
        };
        if let Some(settings) = settings.filter(|_| cached.is_due(now)) {
            let key = key();
            if !cached.ends_soon(now) {
                self.refresh_ahead(&key, settings, cached.version);
                return Ok(cached.credential(permit));
            }
            match self.refresh(&key, settings, cached.version).await {
                Ok(fresh) => return Ok(fresh.credential(permit)),
                Err(error @ NoCredential::Unavailable { .. }) if cached.has_ended(now) => return Err(error),
                Err(NoCredential::Unavailable { .. }) => {}
                Err(required) => return Err(required),
            }
        }
        Ok(cached.credential(permit))
    }

    async fn renewed(
        &self,
        permit: &Permit,
        server: &Server,
        refused: &Credential,
    ) -> Result<Credential, NoCredential> {
        let Some(key) = key_for(permit.principal().subject(), server) else {
            return Err(NoCredential::ConnectRequired(Need::Authenticating));
        };
        let version = refused.version();
        let renewed = match oauth_settings(server) {
            Some(_) if self.warm.was_refused(&key, version, self.clock.now()) => {
                Err(NoCredential::ConnectRequired(Need::ReconsentRequired))
            }
            Some(settings) => self.refresh(&key, settings, version).await,
            // Nothing makes an API key good again but another one.
            None => self.ended(&key, version, "key_refused", key_settings(server)).await,
        };
        Ok(renewed?.credential(permit))
    }

    fn refused_again(&self, permit: &Permit, server: &Server, refused: &Credential) {
        if let Some(key) = key_for(permit.principal().subject(), server) {
            self.warm.refused(&key, refused.version(), self.clock.now());
        }
    }

    async fn needs_scope(&self, permit: &Permit, server: &Server, scope: &str) {
        let subject = permit.principal().subject();
        let Some(key) = key_for(subject, server) else { return };
        let known = self.warm.get(matches!(key.owner, Owner::User(_)).then(|| subject.as_str()), &server.id);
        let known = known.as_ref().and_then(|cached| cached.wanted_scope.as_deref()).unwrap_or_default();
        let wanted = scope_union(known, scope);
        if wanted == known {
            return;
        }
        match self.store.want_scope(&key, &wanted).await {
            Ok(()) => self.warm.forget(&key),
            Err(error) => tracing::warn!(event = "mcp_auth_store_failed", upstreamServerId = %key.upstream_id,
                error = %causes(&error), "the scope that an upstream asks for is not kept"),
        }
    }

    fn connect_link(&self, origin: &Origin, permit: &Permit, server: &Server) -> ConnectLink {
        let principal = permit.principal();
        let (ticket, elicitation_id) = ticket::issue(
            &self.key_ring,
            principal.subject(),
            Some(principal.client_id()),
            permit.route(),
            self.clock.now(),
        )
        .unwrap_or_else(|error| {
            tracing::error!(event = "mcp_auth_connect_failed", %error, "a connect link cannot be sealed");
            Default::default()
        });
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("browserTicket", &ticket)
            .append_pair("operationId", &permit.route().operation_id)
            .finish();
        ConnectLink {
            url: format!("{}?{query}", self.base_path.url(origin, &connect_path(&server.id))),
            elicitation_id,
            auth_profile_id: client_document::auth_profile_id(server),
        }
    }
}
