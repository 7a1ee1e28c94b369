//! Connections: the gateway's own grants at upstream authorization servers, per person or shared.
//!
//! Tokens are sealed in the store. The warm path is one look-up in a bounded map; an entry is believed until a change of
//! it is announced and at most for [`STALENESS`], so a connection that another replica ended is not used for longer. A
//! refresh runs once per connection: in this process behind a lock, across replicas behind a lease, and it runs to its end
//! even if the request that began it is gone, because a rotated refresh token must be kept.

mod cache;
mod clients;
mod credentials;
mod error;
mod key;
mod refresh;
pub(in crate::upstream) mod sealed;
pub(in crate::upstream) mod ticket;

use std::{collections::HashMap, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, header};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

pub use error::ConnectError;
pub use key::{key_for, key_settings, oauth_settings};
pub use refresh::refreshes_under_way;
pub use sealed::Unreadable;

use self::{
    cache::{Cached, Warm},
    key::missing,
    sealed::{Held, HeldKey, KeptClient, tokens_context},
};
use super::{
    KeySettings, Need, NoCredential, Server,
    authorization::{AuthorizationClient, AuthorizationServer, Discovery, RegisteredClient, TokenKind, Tokens},
};
use crate::{
    clock::Clock,
    crypto::{KeyRing, Secret, random_token},
    store::{self, Changes, Connection, ConnectionKey, ConnectionState, Owner, Store, SubjectId},
    telemetry::causes,
    web::BasePath,
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
            access_token: granted.access_token,
            refresh_token: granted.refresh_token,
            redirect_uri: redirect_uri.to_owned(),
            document_client: client.document.then(|| KeptClient::from(client)),
            server,
        };
        let sealed_tokens = sealed::seal(&self.key_ring, &tokens_context(key), &held)?;
        let connection = Connection {
            issuer: held.server.issuer,
            client_id: client.client_id.clone(),
            access_expires_at: granted.expires_in.map(|lifetime| now.plus(lifetime)),
            scope: granted.scope.or(asked_scope),
            ..Connection::fresh(key.clone(), sealed_tokens, now)
        };
        self.store.save_connection(&connection).await?;
        self.warm.forget(key);
        Ok(())
    }

    /// Keeps a person's own API key, in place of what there was.
    pub(super) async fn establish_key(&self, key: &ConnectionKey, api_key: &str) -> Result<(), ConnectError> {
        let held = HeldKey { key: Secret::new(api_key) };
        let sealed = sealed::seal(&self.key_ring, &tokens_context(key), &held)?;
        let connection = Connection::fresh(key.clone(), sealed, self.clock.now());
        self.store.save_connection(&connection).await?;
        self.warm.forget(key);
        Ok(())
    }

    /// Whether the upstream answers 401 to this header. Anything else says nothing about a key.
    pub(super) async fn refuses(&self, server: &Server, header: (HeaderName, HeaderValue)) -> bool {
        self.discovery.refuses(&server.url, header).await
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
        self.authorization.revoke(&held.server, &client, &token, kind).await?;
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
            Some(settings) => {
                self.open_as::<HeldKey>(&connection).map(|held| (settings.header(held.key.expose()), None))
            }
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

/// Where a connection is begun, below the base path.
pub fn connect_path(upstream_id: &str) -> String {
    format!("/auth/connections/{upstream_id}/connect")
}

/// Where the upstream sends the browser back to, below the base path; one per connection, against mix-up.
pub fn callback_path(upstream_id: &str) -> String {
    format!("/auth/connections/{upstream_id}/callback")
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

pub(super) fn bearer(access_token: &Secret) -> Option<(HeaderName, HeaderValue)> {
    let value = Secret::new(format!("Bearer {}", access_token.expose())).into_header()?;
    Some((header::AUTHORIZATION, value))
}

/// How exactly the last use of a connection is known.
const USE_IS_NOTED_EVERY: Duration = Duration::from_hours(1);
const LONGEST_SCOPE: usize = 4096;
const RETRY_AFTER: Duration = Duration::from_secs(2);
