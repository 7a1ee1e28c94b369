//! A store that knows access tokens and nothing else, and can be switched off.

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sallyport::{
    clock::Timestamp,
    crypto::{Digest, random_token},
    store::{
        AccessToken, AssertionRedemption, Assertions, BrowserSession, BrowserSessions, Changes, Client, ClientId,
        Clients, Code, ConnectFlow, Connection, ConnectionKey, Connections, Consent, ConsentKey, Consents, Error,
        Grant, GrantId, Grants, Interaction, InteractionId, Interactions, IssuedTokens, Keys, Login, NewCode, NewGrant,
        OpenToken, Owner, RedeemedAssertion, RedeemedCode, RefreshToken, RefreshedTokens, Result, Revoked, Rotation,
        SealedKind, SealedPlace, SealedSigningKey, SealedValue, SeenTool, Sighting, Store, SubjectId, ToolChange,
        ToolDecision, ToolPin, ToolPins, UpstreamClient, Usage, UsageQuery, UsageRecords, UsageSum,
    },
};

/// Access tokens in memory.
#[derive(Default)]
pub struct FakeStore {
    tokens: Mutex<HashMap<Digest, AccessToken>>,
    down: AtomicBool,
    claims: Mutex<String>,
}

impl FakeStore {
    /// Issues a token that lives an hour.
    pub fn issue(&self, subject: &str, client: &str, operation_id: &str, resource: &str, scope: &str) -> String {
        let token = random_token("at_");
        let now = Timestamp::from_millis(0);
        let never = Timestamp::from_seconds(4_000_000_000);
        let grant = Grant {
            id: GrantId(random_token("grant_")),
            subject: SubjectId::from_stored(subject.to_owned()),
            client_id: ClientId::new(client),
            operation_id: operation_id.to_owned(),
            resource: resource.to_owned(),
            scope: scope.to_owned(),
            created_at: now,
            expires_at: never,
        };
        self.tokens.lock().unwrap().insert(
            Digest::of(&token),
            AccessToken { grant, expires_at: never, claims: self.claims.lock().unwrap().clone() },
        );
        token
    }

    /// Forgets a token, as if another process had revoked it.
    pub fn revoke(&self, token: &str) {
        self.tokens.lock().unwrap().remove(&Digest::of(token));
    }

    /// Changes when a token ends, and names its grant.
    pub fn end_at(&self, token: &str, expires_at: Timestamp) -> GrantId {
        let mut tokens = self.tokens.lock().unwrap();
        let token = tokens.get_mut(&Digest::of(token)).expect("a token of ours");
        token.expires_at = expires_at;
        token.grant.id.clone()
    }

    /// The claims of whoever gets a token from now on.
    pub fn set_claims(&self, claims: &serde_json::Value) {
        *self.claims.lock().unwrap() = claims.to_string();
    }

    /// From now on every question fails.
    pub fn go_down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// It answers again.
    pub fn come_back(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    fn nothing<T>() -> Result<T> {
        Err(Error::Failed("this store knows access tokens only".into()))
    }
}

#[async_trait]
impl Clients for FakeStore {
    async fn create_client(&self, _client: &Client) -> Result<()> {
        Self::nothing()
    }

    async fn client(&self, _id: &ClientId) -> Result<Option<Client>> {
        Self::nothing()
    }

    async fn touch_client(&self, _id: &ClientId, _now: Timestamp) -> Result<()> {
        Self::nothing()
    }
}

#[async_trait]
impl Interactions for FakeStore {
    async fn create_interaction(&self, _interaction: &Interaction) -> Result<()> {
        Self::nothing()
    }

    async fn interaction(&self, _id: &InteractionId, _now: Timestamp) -> Result<Option<Interaction>> {
        Self::nothing()
    }

    async fn bind_interaction(&self, _id: &InteractionId, _session: &Digest, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }

    async fn approve_interaction(
        &self,
        _id: &InteractionId,
        _session: &Digest,
        _grant: &NewGrant,
        _code: &NewCode,
        _now: Timestamp,
    ) -> Result<bool> {
        Self::nothing()
    }

    async fn cancel_interaction(&self, _id: &InteractionId, _session: &Digest, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }

    async fn create_login(&self, _login: &Login) -> Result<()> {
        Self::nothing()
    }

    async fn take_login(&self, _state: &Digest, _browser: &Digest, _now: Timestamp) -> Result<Option<Login>> {
        Self::nothing()
    }
}

#[async_trait]
impl Grants for FakeStore {
    async fn code(&self, _digest: &Digest, _now: Timestamp) -> Result<Option<Code>> {
        Self::nothing()
    }

    async fn redeem_code(&self, _digest: &Digest, _tokens: &IssuedTokens, _now: Timestamp) -> Result<RedeemedCode> {
        Self::nothing()
    }

    async fn burn_code(&self, _digest: &Digest, _now: Timestamp) -> Result<()> {
        Self::nothing()
    }

    async fn refresh_token(&self, _digest: &Digest, _now: Timestamp) -> Result<Option<RefreshToken>> {
        Self::nothing()
    }

    async fn rotate_refresh_token(
        &self,
        _presented: &Digest,
        _client: &ClientId,
        _successors: &IssuedTokens,
        _sealed_successor: &[u8],
        _grace: Duration,
        _now: Timestamp,
    ) -> Result<Rotation> {
        Self::nothing()
    }

    async fn access_token(&self, digest: &Digest, _now: Timestamp) -> Result<Option<AccessToken>> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("switched off".into()));
        }
        Ok(self.tokens.lock().unwrap().get(digest).cloned())
    }

    async fn revoked_among(&self, tokens: &[OpenToken], _now: Timestamp) -> Result<Vec<Digest>> {
        if self.down.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("switched off".into()));
        }
        let live = self.tokens.lock().unwrap();
        Ok(tokens.iter().map(|token| token.digest).filter(|digest| !live.contains_key(digest)).collect())
    }

    async fn revoke_token(&self, _digest: &Digest, _client: &ClientId, _now: Timestamp) -> Result<Revoked> {
        Self::nothing()
    }

    async fn grants_of(&self, _subject: &SubjectId, _now: Timestamp) -> Result<Vec<Grant>> {
        Self::nothing()
    }

    async fn revoke_grant(&self, _id: &GrantId, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }
}

#[async_trait]
impl UsageRecords for FakeStore {
    async fn add_usage(&self, _: Timestamp, _: &[Usage]) -> Result<()> {
        Self::nothing()
    }

    async fn usage(&self, _: &UsageQuery) -> Result<Vec<UsageSum>> {
        Self::nothing()
    }
}

#[async_trait]
impl ToolPins for FakeStore {
    async fn see_tool(&self, _: &SeenTool, _: Timestamp) -> Result<Sighting> {
        Self::nothing()
    }

    async fn tool_pins(&self) -> Result<Vec<ToolPin>> {
        Self::nothing()
    }

    async fn waiting_tools(&self) -> Result<usize> {
        Self::nothing()
    }

    async fn tool_changes(&self, _: usize) -> Result<Vec<ToolChange>> {
        Self::nothing()
    }

    async fn decide_tool(&self, _: &ToolDecision, _: &Digest) -> Result<bool> {
        Self::nothing()
    }

    async fn tool_decisions(&self, _: usize) -> Result<Vec<ToolDecision>> {
        Self::nothing()
    }
}

#[async_trait]
impl BrowserSessions for FakeStore {
    async fn open_session(&self, _session: &BrowserSession, _replaces: Option<&Digest>) -> Result<()> {
        Self::nothing()
    }

    async fn session(&self, _digest: &Digest, _now: Timestamp) -> Result<Option<BrowserSession>> {
        Self::nothing()
    }

    async fn end_session(&self, _digest: &Digest) -> Result<bool> {
        Self::nothing()
    }
}

#[async_trait]
impl Assertions for FakeStore {
    async fn redeem_assertion(&self, _redemption: &AssertionRedemption, _now: Timestamp) -> Result<RedeemedAssertion> {
        Self::nothing()
    }
}

#[async_trait]
impl Connections for FakeStore {
    async fn save_connection(&self, _connection: &Connection) -> Result<()> {
        Self::nothing()
    }

    async fn connection(&self, _key: &ConnectionKey) -> Result<Option<Connection>> {
        Self::nothing()
    }

    async fn connections_of(&self, _owner: &Owner) -> Result<Vec<Connection>> {
        Self::nothing()
    }

    async fn refresh_connection(
        &self,
        _key: &ConnectionKey,
        _version: i64,
        _tokens: &RefreshedTokens,
        _now: Timestamp,
    ) -> Result<bool> {
        Self::nothing()
    }

    async fn end_connection(&self, _key: &ConnectionKey, _version: i64, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }

    async fn want_scope(&self, _key: &ConnectionKey, _scope: &str) -> Result<()> {
        Self::nothing()
    }

    async fn touch_connection(&self, _key: &ConnectionKey, _now: Timestamp, _unless_after: Timestamp) -> Result<()> {
        Self::nothing()
    }

    async fn remove_connection(&self, _key: &ConnectionKey) -> Result<Option<Connection>> {
        Self::nothing()
    }

    async fn create_connect_flow(&self, _flow: &ConnectFlow) -> Result<()> {
        Self::nothing()
    }

    async fn take_connect_flow(
        &self,
        _state: &Digest,
        _session: &Digest,
        _now: Timestamp,
    ) -> Result<Option<ConnectFlow>> {
        Self::nothing()
    }

    async fn upstream_client(&self, _issuer: &str, _redirect_uri: &str) -> Result<Option<UpstreamClient>> {
        Self::nothing()
    }

    async fn save_upstream_client(&self, _client: &UpstreamClient) -> Result<UpstreamClient> {
        Self::nothing()
    }

    async fn remove_upstream_client(&self, _issuer: &str, _redirect_uri: &str, _client_id: &str) -> Result<()> {
        Self::nothing()
    }

    async fn pin_issuer(&self, _upstream_id: &str, _client_id: &str, _issuer: &str) -> Result<String> {
        Self::nothing()
    }

    async fn spend_ticket(&self, _ticket: &Digest, _expires_at: Timestamp, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }

    async fn take_lease(&self, _name: &str, _holder: &str, _until: Timestamp, _now: Timestamp) -> Result<bool> {
        Self::nothing()
    }

    async fn release_lease(&self, _name: &str, _holder: &str) -> Result<()> {
        Self::nothing()
    }
}

#[async_trait]
impl Consents for FakeStore {
    async fn remember_consent(&self, _consent: &Consent) -> Result<()> {
        Self::nothing()
    }

    async fn consent(&self, _key: &ConsentKey, _now: Timestamp) -> Result<Option<Consent>> {
        Self::nothing()
    }

    async fn consents_of(&self, _subject: &SubjectId, _now: Timestamp) -> Result<Vec<Consent>> {
        Self::nothing()
    }

    async fn forget_consents(&self, _subject: &SubjectId, _client: &ClientId, _operation_id: &str) -> Result<u64> {
        Self::nothing()
    }
}

#[async_trait]
impl Keys for FakeStore {
    async fn signing_key(&self, _purpose: &str) -> Result<Option<SealedSigningKey>> {
        Self::nothing()
    }

    async fn save_signing_key(&self, _key: &SealedSigningKey) -> Result<SealedSigningKey> {
        Self::nothing()
    }

    async fn remove_signing_key(&self, _purpose: &str, _key_id: &str) -> Result<()> {
        Self::nothing()
    }

    async fn sealed_otherwise(
        &self,
        _kind: SealedKind,
        _prefix: &[u8],
        _after: Option<&SealedPlace>,
        _limit: u32,
    ) -> Result<Vec<SealedValue>> {
        Self::nothing()
    }

    async fn reseal(&self, _value: &SealedValue, _resealed: &[u8]) -> Result<bool> {
        Self::nothing()
    }
}

#[async_trait]
impl Store for FakeStore {
    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn hear(&self, _changes: &Changes) -> Result<()> {
        std::future::pending().await
    }

    async fn remove_expired(&self, _now: Timestamp, _unused_since: Timestamp) -> Result<u64> {
        Ok(0)
    }
}
