//! Connections: the gateway's own grants at upstream authorization servers, per person or shared.
//!
//! Tokens are sealed in the store. The warm path is one look-up in a bounded map; an entry is believed until a change of
//! it is announced and at most for [`STALENESS`], so a connection that another replica ended is not used for longer. A refresh runs once per connection:
//! in this process behind a lock, across replicas behind a lease, and it runs to its end even if the request that began it
//! is gone, because a rotated refresh token must be kept.

mod cache;
mod error;
mod refresh;
pub(in crate::upstream) mod sealed;
pub(in crate::upstream) mod ticket;

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

pub use error::ConnectError;
pub use refresh::refreshes_under_way;
pub use sealed::Unreadable;

use self::{
    cache::{Cached, Warm},
    sealed::{Held, HeldKey, KeptClient, client_context, tokens_context},
};
use super::{
    ConnectLink, Credential, CredentialSource, Credentials, KeySettings, Need, NoCredential, OauthSettings,
    Registration, Server,
    authorization::{
        self, AuthorizationClient, AuthorizationServer, Discovery, RegisteredClient, Registrant, RegistrationError,
        TokenKind, Tokens,
    },
    client_document,
};
use crate::{
    clock::Clock,
    crypto::{KeyRing, Secret, random_token},
    policy::Permit,
    store::{self, Changes, Connection, ConnectionKey, ConnectionState, Owner, Store, SubjectId, UpstreamClient},
    telemetry::{
        causes,
        counters::{CREDENTIAL_HITS, CREDENTIAL_MISSES},
    },
    web::{BasePath, Origin},
};

/// How long a connection may still be used that another process ended, where nobody hears of it.
pub const STALENESS: Duration = Duration::from_secs(10);

/// The connections of one gateway.
pub struct Connections {
    store: Arc<dyn Store>,
    key_ring: Arc<KeyRing>,
    clock: Clock,
    authorization: AuthorizationClient,
    discovery: Discovery,
    base_path: BasePath,
    warm: Warm,
    refreshing: Mutex<HashMap<ConnectionKey, Arc<Mutex<()>>>>,
    holder: String,
}

impl Connections {
    /// The connections of a gateway whose endpoints lie below `base_path`.
    pub fn new(
        store: Arc<dyn Store>,
        key_ring: Arc<KeyRing>,
        clock: Clock,
        authorization: AuthorizationClient,
        discovery: Discovery,
        base_path: BasePath,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            key_ring,
            clock,
            authorization,
            discovery,
            base_path,
            warm: Warm::default(),
            refreshing: Mutex::default(),
            holder: random_token(""),
        })
    }

    /// Forgets from now on what `changes` announces as overtaken.
    pub fn follow(self: &Arc<Self>, changes: &Changes) {
        changes.subscribe(self, |connections, change| connections.warm.hear(change));
    }

    /// Whether `subject` has what `server` needs, and what is missing otherwise.
    pub async fn need(&self, subject: &SubjectId, server: &Server) -> store::Result<Option<Need>> {
        let Some(key) = key_for(subject, server) else { return Ok(None) };
        Ok(match self.store.connection(&key).await? {
            Some(connection) if connection.state == ConnectionState::Live => None,
            Some(_) => Some(Need::ReconsentRequired),
            None if key.owner == Owner::Shared => Some(Need::AdminConnectRequired),
            None => Some(Need::Authenticating),
        })
    }

    /// Keeps what an upstream granted, in place of what there was.
    ///
    /// [`Connections::establish_key`] is its counterpart for API keys.
    pub async fn establish(
        &self,
        key: &ConnectionKey,
        server: AuthorizationServer,
        client: &RegisteredClient,
        redirect_uri: &str,
        granted: Tokens,
        asked_scope: Option<String>,
    ) -> Result<(), ConnectError> {
        let now = self.clock.now();
        let held = Held {
            access_token: granted.access_token.expose().to_owned(),
            refresh_token: granted.refresh_token.as_ref().map(|token| token.expose().to_owned()),
            redirect_uri: redirect_uri.to_owned(),
            document_client: client.document.then(|| KeptClient::from(client)),
            server,
        };
        let connection = Connection {
            key: key.clone(),
            issuer: held.server.issuer.clone(),
            client_id: client.client_id.clone(),
            sealed_tokens: sealed::seal(&self.key_ring, &tokens_context(key), &held)?,
            access_expires_at: granted.expires_in.map(|lifetime| now.plus(lifetime)),
            scope: granted.scope.or(asked_scope),
            state: ConnectionState::Live,
            version: 0,
            connected_at: now,
            updated_at: now,
            wanted_scope: None,
            last_used_at: None,
        };
        self.store.save_connection(&connection).await?;
        self.warm.forget(key);
        Ok(())
    }

    /// Keeps a person's own API key, in place of what there was.
    pub(super) async fn establish_key(&self, key: &ConnectionKey, api_key: &str) -> Result<(), ConnectError> {
        let now = self.clock.now();
        let held = HeldKey { key: api_key.to_owned() };
        let connection = Connection {
            key: key.clone(),
            issuer: String::new(),
            client_id: String::new(),
            sealed_tokens: sealed::seal(&self.key_ring, &tokens_context(key), &held)?,
            access_expires_at: None,
            scope: None,
            state: ConnectionState::Live,
            version: 0,
            connected_at: now,
            updated_at: now,
            wanted_scope: None,
            last_used_at: None,
        };
        self.store.save_connection(&connection).await?;
        self.warm.forget(key);
        Ok(())
    }

    /// Whether the upstream answers 401 to this header. Anything else says nothing about a key.
    pub(super) async fn refuses(&self, server: &Server, header: (HeaderName, HeaderValue)) -> bool {
        self.discovery.refuses(&server.url, header).await
    }

    /// The protocol client.
    pub(super) const fn authorization(&self) -> &AuthorizationClient {
        &self.authorization
    }

    /// The authorization server of an upstream, for whoever connects it.
    ///
    /// Who connects again does so because what was known proved stale: the upstream may have moved to another
    /// authorization server, so it is asked anew.
    pub(super) async fn discover(
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
    pub(super) async fn find(
        &self,
        server: &Server,
        settings: &OauthSettings,
    ) -> Result<Arc<AuthorizationServer>, authorization::DiscoveryError> {
        self.discovery.discover(&server.url, settings, None).await
    }

    /// The scope to ask for beyond the usual: what the upstream asked for, and what it had granted before (CL-32).
    pub(super) async fn extra_scope(&self, key: &ConnectionKey) -> store::Result<String> {
        let Some(connection) = self.store.connection(key).await? else { return Ok(String::new()) };
        let Some(wanted) = connection.wanted_scope else { return Ok(String::new()) };
        Ok(scope_union(connection.scope.as_deref().unwrap_or_default(), &wanted))
    }

    /// Us as a client of `server`: as the operator registered us, by our metadata document, as we registered before, or
    /// registered now (CL-13).
    pub(super) async fn client(
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
    pub(super) async fn forget_client(&self, server: &AuthorizationServer, redirect_uri: &str, client_id: &str) {
        if let Err(error) = self.store.remove_upstream_client(&server.issuer, redirect_uri, client_id).await {
            tracing::warn!(event = "mcp_auth_store_failed", error = %causes(&error),
                "a registration that the upstream does not know stays for now");
        }
    }

    /// The client that a connection was made with, which alone may refresh it.
    async fn client_of(
        &self,
        current: &Cached,
        settings: &OauthSettings,
    ) -> Result<Option<RegisteredClient>, store::Error> {
        match &current.held {
            Some(held) => self.client_that_made(held, &current.client_id, settings).await,
            None => Ok(None),
        }
    }

    async fn client_that_made(
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

    /// Takes a connection away and revokes its tokens at the upstream, where it offers that; true if there was one.
    pub(super) async fn disconnect(&self, key: &ConnectionKey, server: &Server) -> store::Result<bool> {
        let Some(removed) = self.store.remove_connection(key).await? else { return Ok(false) };
        self.warm.forget(key);
        if let Err(error) = self.revoke_at_upstream(&removed, server).await {
            tracing::warn!(event = "mcp_auth_upstream_revocation_failed", upstreamServerId = %key.upstream_id,
                error = %causes(&error), "the upstream may believe in the tokens until they end");
        }
        Ok(true)
    }

    async fn revoke_at_upstream(&self, removed: &Connection, server: &Server) -> Result<(), ConnectError> {
        let Some(settings) = oauth_settings(server) else { return Ok(()) };
        let held: Held = sealed::open(&self.key_ring, &tokens_context(&removed.key), &removed.sealed_tokens)?;
        let client = self.client_that_made(&held, &removed.client_id, settings).await?;
        let Some(client) = client else { return Ok(()) };
        let (token, kind) = match held.refresh_token {
            Some(refresh_token) => (refresh_token, TokenKind::Refresh),
            None => (held.access_token, TokenKind::Access),
        };
        self.authorization.revoke(&held.server, &client, &Secret::new(token), kind).await?;
        Ok(())
    }

    /// Notes that a connection is in use, once an hour at most.
    async fn note_use(&self, key: &ConnectionKey, loaded: &Cached) {
        let now = self.clock.now();
        let lately = now.minus(USE_IS_NOTED_EVERY);
        if loaded.last_used_at.is_some_and(|last| last > lately) {
            return;
        }
        if let Err(error) = self.store.touch_connection(key, now, lately).await {
            tracing::debug!(upstreamServerId = %key.upstream_id, %error, "the use of a connection is not noted");
        }
    }

    /// The connection as the store has it, with what goes upstream: the access token, or where `as_key` says so a key.
    async fn load(&self, key: &ConnectionKey, as_key: Option<&KeySettings>) -> Result<Arc<Cached>, NoCredential> {
        let changes = self.warm.changes();
        let connection = match self.store.connection(key).await {
            Ok(Some(connection)) => connection,
            Ok(None) => {
                self.warm.forget(key);
                return Err(NoCredential::ConnectRequired(missing(key)));
            }
            Err(error) => return Err(unavailable(key, &error)),
        };
        if connection.state == ConnectionState::Ended {
            self.warm.forget(key);
            return Err(NoCredential::ConnectRequired(Need::ReconsentRequired));
        }
        let opened = match as_key {
            None => self.open_as::<Held>(&connection).map(|held| (bearer(&held.access_token), Some(held))),
            Some(settings) => self.open_as::<HeldKey>(&connection).map(|held| (settings.header(&held.key), None)),
        };
        let (header, held) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(event = "mcp_auth_upstream_connection_lost", upstreamServerId = %key.upstream_id,
                    error = %causes(&error), "the kept tokens of a connection do not open");
                return Err(NoCredential::ConnectRequired(Need::ReconsentRequired));
            }
        };
        let Some(header) = header else {
            return Err(NoCredential::ConnectRequired(Need::ReconsentRequired));
        };
        let cached = Arc::new(Cached::new(connection, held, header, self.clock.now()));
        self.warm.keep(key, &cached, changes);
        Ok(cached)
    }

    fn open_as<T: DeserializeOwned>(&self, connection: &Connection) -> Result<T, Unreadable> {
        sealed::open(&self.key_ring, &tokens_context(&connection.key), &connection.sealed_tokens)
    }
}

#[async_trait]
impl Credentials for Arc<Connections> {
    async fn credential(&self, permit: &Permit, server: &Server) -> Result<Credential, NoCredential> {
        let (settings, as_key) = (oauth_settings(server), key_settings(server));
        if settings.is_none() && as_key.is_none() {
            return Err(NoCredential::ConnectRequired(Need::Authenticating));
        }
        let now = self.clock.now();
        let shared = matches!(server.credential, CredentialSource::SharedOauth(_));
        let warm = self.warm.get((!shared).then(|| permit.principal().subject().as_str()), &server.id);
        let key = || key_of(permit.principal().subject(), server, shared);
        let cached = match warm {
            Some(cached) if now < cached.loaded_at.plus(STALENESS) => {
                CREDENTIAL_HITS.count();
                cached
            }
            _ => {
                CREDENTIAL_MISSES.count();
                let key = key();
                let loaded = self.load(&key, as_key).await?;
                self.note_use(&key, &loaded).await;
                loaded
            }
        };
        if let Some(settings) = settings.filter(|_| cached.is_due(now)) {
            let key = key();
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

/// Where a connection is begun, below the base path.
pub fn connect_path(upstream_id: &str) -> String {
    format!("/auth/connections/{upstream_id}/connect")
}

/// Where the upstream sends the browser back to, below the base path; one per connection, against mix-up.
pub fn callback_path(upstream_id: &str) -> String {
    format!("/auth/connections/{upstream_id}/callback")
}

/// The settings of an upstream that needs a connection.
pub fn oauth_settings(server: &Server) -> Option<&Arc<OauthSettings>> {
    match &server.credential {
        CredentialSource::UserOauth(settings) | CredentialSource::SharedOauth(settings) => Some(settings),
        CredentialSource::None
        | CredentialSource::Headers(_)
        | CredentialSource::UserKey(_)
        | CredentialSource::IdJag(_) => None,
    }
}

/// The settings of an upstream that takes API keys of persons.
pub fn key_settings(server: &Server) -> Option<&KeySettings> {
    match &server.credential {
        CredentialSource::UserKey(settings) => Some(settings),
        _ => None,
    }
}

/// The connection that `subject` uses at `server`, if it needs one.
pub fn key_for(subject: &SubjectId, server: &Server) -> Option<ConnectionKey> {
    if oauth_settings(server).is_none() && key_settings(server).is_none() {
        return None;
    }
    Some(key_of(subject, server, matches!(server.credential, CredentialSource::SharedOauth(_))))
}

fn key_of(subject: &SubjectId, server: &Server, shared: bool) -> ConnectionKey {
    let owner = if shared { Owner::Shared } else { Owner::User(subject.clone()) };
    ConnectionKey { owner, upstream_id: server.id.clone() }
}

const fn missing(key: &ConnectionKey) -> Need {
    match key.owner {
        Owner::User(_) => Need::Authenticating,
        Owner::Shared => Need::AdminConnectRequired,
    }
}

fn unavailable(key: &ConnectionKey, error: &store::Error) -> NoCredential {
    tracing::warn!(event = "mcp_auth_store_failed", upstreamServerId = %key.upstream_id,
        error = %causes(error), "a connection cannot be read or kept");
    NoCredential::Unavailable { retry_after: RETRY_AFTER }
}

/// Both scopes, each scope once; only the second where both together are longer than any honest one.
fn scope_union(known: &str, more: &str) -> String {
    let mut union: Vec<&str> = Vec::new();
    for scope in known.split_ascii_whitespace().chain(more.split_ascii_whitespace()) {
        if !union.contains(&scope) {
            union.push(scope);
        }
    }
    let union = union.join(" ");
    if union.len() <= LONGEST_SCOPE { union } else { more.chars().take(LONGEST_SCOPE).collect() }
}

pub(super) fn bearer(access_token: &str) -> Option<(HeaderName, HeaderValue)> {
    let mut value = HeaderValue::from_str(&format!("Bearer {access_token}")).ok()?;
    value.set_sensitive(true);
    Some((header::AUTHORIZATION, value))
}

/// How exactly the last use of a connection is known.
const USE_IS_NOTED_EVERY: Duration = Duration::from_hours(1);
const LONGEST_SCOPE: usize = 4096;
const RETRY_AFTER: Duration = Duration::from_secs(2);
