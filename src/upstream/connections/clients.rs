//! The gateway as a client of authorization servers: which one an upstream has, and who we are there.

use std::sync::Arc;

use super::{
    Connections,
    cache::Cached,
    error::ConnectError,
    scope_union,
    sealed::{self, Held, KeptClient, Unreadable, client_context},
};
use crate::{
    store::{self, ConnectionKey, UpstreamClient},
    telemetry::causes,
    upstream::{
        OauthSettings, Registration, Server,
        authorization::{
            self, AuthorizationClient, AuthorizationServer, RegisteredClient, Registrant, RegistrationError,
        },
        client_document,
    },
    web::Origin,
};

impl Connections {
    /// The protocol client.
    pub(in crate::upstream) const fn authorization(&self) -> &AuthorizationClient {
        &self.authorization
    }

    /// The authorization server of an upstream, for whoever connects it.
    ///
    /// Who connects again does so because what was known proved stale: the upstream may have moved to another
    /// authorization server, so it is asked anew.
    pub(in crate::upstream) async fn discover(
        &self,
        key: &ConnectionKey,
        server: &Server,
        settings: &OauthSettings,
    ) -> Result<Arc<AuthorizationServer>, ConnectError> {
        if self.store.connection(key).await?.is_some() {
            self.discovery.forget(&server.url);
        }
        Ok(self.discovery.discover(&server.url, settings, None).await?)
    }

    /// The authorization server of an upstream, as it is known.
    pub(in crate::upstream) async fn find(
        &self,
        server: &Server,
        settings: &OauthSettings,
    ) -> Result<Arc<AuthorizationServer>, authorization::DiscoveryError> {
        self.discovery.discover(&server.url, settings, None).await
    }

    /// The scope to ask for beyond the usual: what the upstream asked for, and what it had granted before (CL-32).
    pub(in crate::upstream) async fn extra_scope(&self, key: &ConnectionKey) -> store::Result<String> {
        let Some(connection) = self.store.connection(key).await? else { return Ok(String::new()) };
        let Some(wanted) = connection.wanted_scope else { return Ok(String::new()) };
        Ok(scope_union(connection.scope.as_deref().unwrap_or_default(), &wanted))
    }

    /// Us as a client of `server`: as the operator registered us, by our metadata document, as we registered before, or
    /// registered now (CL-13).
    pub(in crate::upstream) async fn client(
        &self,
        upstream_id: &str,
        origin: &Origin,
        server: &AuthorizationServer,
        redirect_uri: &str,
        settings: &OauthSettings,
    ) -> Result<RegisteredClient, ConnectError> {
        if let Some(client) = RegisteredClient::manual(&settings.registration) {
            self.check_issuer(upstream_id, &client.client_id, server, settings).await?;
            return Ok(client);
        }
        if let Registration::Auto = settings.registration
            && let Some(client) = client_document::client_at(server, origin, upstream_id)
        {
            return Ok(client);
        }
        let now = self.clock.now();
        if let Some(kept) = self.store.upstream_client(&server.issuer, redirect_uri).await? {
            match self.opened(&kept) {
                Ok(client) if client.secret_expires_at.is_none_or(|end| now < end) => return Ok(client),
                Ok(_) | Err(_) => self.forget_client(server, redirect_uri, &kept.client_id).await,
            }
        }
        let scopes = authorization::scopes(server, settings, "").join(" ");
        let registrant = Registrant {
            redirect_uri,
            client_name: client_document::CLIENT_NAME,
            client_uri: None,
            scope: (!scopes.is_empty()).then_some(scopes.as_str()),
        };
        let client = self.authorization.register(server, &registrant).await?;
        let sealed_details =
            sealed::seal(&self.key_ring, &client_context(&server.issuer, redirect_uri), &KeptClient::from(&client))?;
        let kept = self
            .store
            .save_upstream_client(&UpstreamClient {
                issuer: server.issuer.clone(),
                redirect_uri: redirect_uri.to_owned(),
                client_id: client.client_id,
                sealed_details,
                registered_at: now,
            })
            .await?;
        Ok(self.opened(&kept)?)
    }

    /// CL-17: what the operator registered by hand belongs to one authorization server, and goes to no other.
    async fn check_issuer(
        &self,
        upstream_id: &str,
        client_id: &str,
        server: &AuthorizationServer,
        settings: &OauthSettings,
    ) -> Result<(), ConnectError> {
        let expected = match &settings.registration {
            Registration::Manual { issuer: Some(issuer), .. } => issuer.clone(),
            _ => self.store.pin_issuer(upstream_id, client_id, &server.issuer).await?,
        };
        if authorization::same_issuer(&expected, &server.issuer) {
            Ok(())
        } else {
            Err(RegistrationError::OtherIssuer { expected, found: server.issuer.clone() }.into())
        }
    }

    /// Drops a registration that is of no use any more, so that the next attempt registers anew: the authorization server
    /// no longer knows it, its secret has ended, or the key that sealed it is gone.
    pub(in crate::upstream) async fn forget_client(
        &self,
        server: &AuthorizationServer,
        redirect_uri: &str,
        client_id: &str,
    ) {
        if let Err(error) = self.store.remove_upstream_client(&server.issuer, redirect_uri, client_id).await {
            tracing::warn!(event = "mcp_auth_store_failed", error = %causes(&error),
                "a registration that the upstream does not know stays for now");
        }
    }

    /// The client that a connection was made with, which alone may refresh it.
    pub(super) async fn client_of(
        &self,
        current: &Cached,
        settings: &OauthSettings,
    ) -> Result<Option<RegisteredClient>, store::Error> {
        match &current.held {
            Some(held) => self.client_that_made(held, &current.client_id, settings).await,
            None => Ok(None),
        }
    }

    pub(super) async fn client_that_made(
        &self,
        held: &Held,
        client_id: &str,
        settings: &OauthSettings,
    ) -> Result<Option<RegisteredClient>, store::Error> {
        if let Some(kept) = &held.document_client {
            return Ok(Some(kept.clone().into()));
        }
        if let Some(client) = RegisteredClient::manual(&settings.registration) {
            let elsewhere = matches!(&settings.registration, Registration::Manual { issuer: Some(issuer), .. }
                if !authorization::same_issuer(issuer, &held.server.issuer));
            return Ok(Some(client).filter(|client| client.client_id == client_id && !elsewhere));
        }
        let kept = self.store.upstream_client(&held.server.issuer, &held.redirect_uri).await?;
        Ok(kept.and_then(|kept| self.opened(&kept).ok()).filter(|client| client.client_id == client_id))
    }

    fn opened(&self, kept: &UpstreamClient) -> Result<RegisteredClient, Unreadable> {
        let opened = sealed::open::<KeptClient>(
            &self.key_ring,
            &client_context(&kept.issuer, &kept.redirect_uri),
            &kept.sealed_details,
        );
        if let Err(error) = &opened {
            tracing::error!(event = "mcp_auth_upstream_client_unreadable",
                error = %causes(error), "a kept registration does not open");
        }
        opened.map(RegisteredClient::from)
    }
}
