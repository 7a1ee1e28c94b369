//! Connections: what a person (or the gateway itself) was granted at an upstream's authorization server.

use async_trait::async_trait;
use thiserror::Error;

use super::{InteractionId, Result, SubjectId};
use crate::{clock::Timestamp, crypto::Digest};

/// Whose connection it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// One person's.
    User(SubjectId),
    /// The gateway's, for everybody.
    Shared,
}

impl Owner {
    /// The text that stands for it in the store; no subject can be taken for the gateway.
    pub(in crate::store) fn to_stored(&self) -> String {
        match self {
            Self::User(subject) => format!("user:{subject}"),
            Self::Shared => "shared".to_owned(),
        }
    }

    pub(super) fn from_stored(text: &str) -> std::result::Result<Self, NotStoredByUs> {
        match text.strip_prefix("user:") {
            Some(subject) => Ok(Self::User(SubjectId::from_stored(subject.to_owned()))),
            None if text == "shared" => Ok(Self::Shared),
            None => Err(NotStoredByUs),
        }
    }
}

/// Names a connection: at most one per owner and upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionKey {
    /// Whose.
    pub owner: Owner,
    /// To which upstream.
    pub upstream_id: String,
}

impl ConnectionKey {
    /// The place of the sealed tokens: moved to another person's row, they do not open.
    pub fn sealing_context(&self) -> String {
        match &self.owner {
            Owner::User(subject) => format!("connections/tokens/user/{subject}/{}", self.upstream_id),
            Owner::Shared => format!("connections/tokens/shared/{}", self.upstream_id),
        }
    }
}

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// Its tokens are believed to work.
    Live,
    /// The upstream ended it, or asks for more scope; the person must connect again.
    Ended,
}

impl ConnectionState {
    /// The text that stands for it in the store.
    pub(super) const fn to_stored(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ended => "ended",
        }
    }

    pub(super) fn from_stored(text: &str) -> std::result::Result<Self, NotStoredByUs> {
        match text {
            "live" => Ok(Self::Live),
            "ended" => Ok(Self::Ended),
            _ => Err(NotStoredByUs),
        }
    }
}

/// A text that stands for no owner or no state.
#[derive(Debug, Error)]
#[error("a connection has no such owner or state")]
pub(super) struct NotStoredByUs;

/// A connection as it is kept. The tokens are sealed; the caller opens them with the key ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub key: ConnectionKey,
    /// The upstream's authorization server.
    pub issuer: String,
    /// Our client id there, which the refresh needs.
    pub client_id: String,
    /// The sealed access and refresh tokens; the context names the key, so a moved value does not open.
    pub sealed_tokens: Vec<u8>,
    /// When the access token ends, if the upstream said.
    pub access_expires_at: Option<Timestamp>,
    /// The scope that was granted, or asked for where the upstream did not say; space separated.
    pub scope: Option<String>,
    /// Whether it can be used.
    pub state: ConnectionState,
    /// Counts the changes of the tokens, so that two writers cannot overwrite each other.
    pub version: i64,
    /// When the person connected.
    pub connected_at: Timestamp,
    /// When the tokens or the state last changed.
    pub updated_at: Timestamp,
    /// The scope that the upstream asked for beyond what it had granted; space separated.
    pub wanted_scope: Option<String>,
    /// When it was last used, as far as that was noted.
    pub last_used_at: Option<Timestamp>,
}

impl Connection {
    /// A connection that was made just now, of which nothing else is known.
    pub fn fresh(key: ConnectionKey, sealed_tokens: Vec<u8>, now: Timestamp) -> Self {
        Self {
            key,
            issuer: String::new(),
            client_id: String::new(),
            sealed_tokens,
            access_expires_at: None,
            scope: None,
            state: ConnectionState::Live,
            version: 0,
            connected_at: now,
            updated_at: now,
            wanted_scope: None,
            last_used_at: None,
        }
    }
}

/// New tokens of a connection after a refresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshedTokens {
    /// The sealed tokens.
    pub sealed_tokens: Vec<u8>,
    /// When the new access token ends, if the upstream said.
    pub access_expires_at: Option<Timestamp>,
    /// The scope, where the upstream said a new one.
    pub scope: Option<String>,
}

/// An authorization under way at an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectFlow {
    /// The digest of the `state` that the upstream returns.
    pub state: Digest,
    /// The browser session that began it, and alone may finish it.
    pub session: Digest,
    /// What will be connected.
    pub key: ConnectionKey,
    /// The route that it is for.
    pub operation_id: String,
    /// The recorded issuer, which `iss` must equal and whose token endpoint alone gets the code.
    pub issuer: String,
    /// Everything the callback needs (endpoints, client, PKCE verifier), sealed with the key ring.
    pub sealed_details: Vec<u8>,
    /// The consent page to go back to, if the flow began there.
    pub interaction: Option<InteractionId>,
    /// When it stops being usable.
    pub expires_at: Timestamp,
}

/// Our registration at an upstream's authorization server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamClient {
    /// The authorization server; credentials never go to another.
    pub issuer: String,
    /// The redirect URI it was registered with; one per connection, against mix-up.
    pub redirect_uri: String,
    /// The client id there.
    pub client_id: String,
    /// The rest (secret, authentication method), sealed with the key ring.
    pub sealed_details: Vec<u8>,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// Connections, the flows that make them, our registrations, single-use tickets and leases.
#[async_trait]
pub trait Connections {
    /// Keeps a connection, in place of what was there; the version becomes one more than before, whatever `connection`
    /// says.
    ///
    /// Where nothing was there, the version begins at `updated_at` in milliseconds. So a refresh that began before a
    /// removal does not meet its version in the connection that is made afterwards.
    async fn save_connection(&self, connection: &Connection) -> Result<()>;

    /// The connection of that name.
    async fn connection(&self, key: &ConnectionKey) -> Result<Option<Connection>>;

    /// All connections of an owner, by upstream id.
    async fn connections_of(&self, owner: &Owner) -> Result<Vec<Connection>>;

    /// Keeps refreshed tokens if the connection is live and still at `version`; false if somebody was faster.
    async fn refresh_connection(
        &self,
        key: &ConnectionKey,
        version: i64,
        tokens: &RefreshedTokens,
        now: Timestamp,
    ) -> Result<bool>;

    /// Marks a connection as ended if it is live and still at `version`; false if somebody was faster. The tokens and
    /// the version stay.
    async fn end_connection(&self, key: &ConnectionKey, version: i64, now: Timestamp) -> Result<bool>;

    /// Notes the scope that an upstream asks for beyond what it has granted, until the person connects again.
    async fn want_scope(&self, key: &ConnectionKey, scope: &str) -> Result<()>;

    /// Notes that a connection was used at `now`, unless a use after `unless_after` is known.
    async fn touch_connection(&self, key: &ConnectionKey, now: Timestamp, unless_after: Timestamp) -> Result<()>;

    /// Takes a connection out of the store and returns it, so that its tokens can be revoked.
    async fn remove_connection(&self, key: &ConnectionKey) -> Result<Option<Connection>>;

    /// Keeps a flow that begins.
    async fn create_connect_flow(&self, flow: &ConnectFlow) -> Result<()>;

    /// Takes a flow out of the store, at most once, if `session` began it and it has not expired.
    ///
    /// Another session takes nothing, so that a stranger who learned the state cannot end the flow either.
    async fn take_connect_flow(&self, state: &Digest, session: &Digest, now: Timestamp) -> Result<Option<ConnectFlow>>;

    /// Our registration at `issuer` for `redirect_uri`.
    async fn upstream_client(&self, issuer: &str, redirect_uri: &str) -> Result<Option<UpstreamClient>>;

    /// Keeps a registration unless there is one already, and returns the one that is kept: of two replicas that
    /// register at once, both go on with the same.
    async fn save_upstream_client(&self, client: &UpstreamClient) -> Result<UpstreamClient>;

    /// Removes a registration that the authorization server no longer knows, if it is still this one.
    async fn remove_upstream_client(&self, issuer: &str, redirect_uri: &str, client_id: &str) -> Result<()>;

    /// The issuer that a client registered by hand is for at this upstream: `issuer` from now on, unless another was
    /// named before.
    async fn pin_issuer(&self, upstream_id: &str, client_id: &str, issuer: &str) -> Result<String>;

    /// Spends a ticket; true for exactly one caller. It is remembered until `expires_at`, and from then on refused.
    async fn spend_ticket(&self, ticket: &Digest, expires_at: Timestamp, now: Timestamp) -> Result<bool>;

    /// Takes the lease `name` for `holder` until `until`, if nobody else holds it at `now`. A holder who takes it again
    /// prolongs it.
    ///
    /// All who take a lease of one name take it for as long. So one that ends later than twice that from `now` was taken
    /// before the clock was set back, and counts as over; the second length is for replicas whose clocks differ.
    async fn take_lease(&self, name: &str, holder: &str, until: Timestamp, now: Timestamp) -> Result<bool>;

    /// Gives a lease back, if `holder` still holds it.
    async fn release_lease(&self, name: &str, holder: &str) -> Result<()>;
}
