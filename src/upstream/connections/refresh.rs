//! Refreshing a connection: once at a time in this process and across replicas, and never half.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use super::{
    Connections, NoCredential,
    cache::Cached,
    sealed::{self, Held, tokens_context},
    unavailable,
};
use crate::{
    clock::Timestamp,
    store::{ConnectionKey, Owner, RefreshedTokens},
    telemetry::{
        causes,
        counters::{REFRESH_FAILED, REFRESH_LOST, REFRESHED},
    },
    upstream::{
        KeySettings, Need, OauthSettings,
        authorization::{TokenError, Tokens},
    },
};

impl Connections {
    /// The connection at a version newer than `seen`, refreshed if nobody else did it.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        key: &ConnectionKey,
        settings: &Arc<OauthSettings>,
        seen: i64,
    ) -> Result<Arc<Cached>, NoCredential> {
        match self.begin_refresh(key, settings, seen).await {
            Ok(result) => result,
            Err(error) => {
                tracing::error!(event = "mcp_auth_upstream_refresh_failed", %error, "a refresh ended unexpectedly");
                Err(NoCredential::Unavailable { retry_after: super::RETRY_AFTER })
            }
        }
    }

    /// Begins a refresh that nobody waits for, because the token at hand is good; none if one is under way, or was begun in
    /// vain a moment ago.
    pub(super) fn refresh_ahead(self: &Arc<Self>, key: &ConnectionKey, settings: &Arc<OauthSettings>, seen: i64) {
        let resting = self.pause_until(key, self.clock.now()).is_some();
        // Where the list is being changed, the next call looks again.
        let busy = self.refreshing.try_lock().map_or(true, |refreshing| refreshing.contains_key(key));
        if resting || busy {
            return;
        }
        // What goes wrong is in the log, and the next call that must know finds out by itself.
        let _unattended = self.begin_refresh(key, settings, seen);
    }

    /// The work runs in a task of its own: when the request that asked is gone, the rotated token is kept all the same.
    fn begin_refresh(
        self: &Arc<Self>,
        key: &ConnectionKey,
        settings: &Arc<OauthSettings>,
        seen: i64,
    ) -> JoinHandle<Result<Arc<Cached>, NoCredential>> {
        let (this, key, settings) = (Arc::clone(self), key.clone(), Arc::clone(settings));
        let counted = Counted::new();
        tokio::spawn(async move {
            let _until_it_ends = counted;
            this.refresh_once(&key, &settings, seen).await
        })
    }

    async fn refresh_once(
        &self,
        key: &ConnectionKey,
        settings: &OauthSettings,
        seen: i64,
    ) -> Result<Arc<Cached>, NoCredential> {
        let turn = Arc::clone(self.refreshing.lock().await.entry(key.clone()).or_default());
        let result = {
            let _mine = turn.lock().await;
            self.refresh_in_turn(key, settings, seen).await
        };
        let mut refreshing = self.refreshing.lock().await;
        if Arc::strong_count(&turn) <= 2 {
            refreshing.remove(key);
        }
        result
    }

    /// Waits for the lease, and uses what another replica made of it in the meantime.
    async fn refresh_in_turn(
        &self,
        key: &ConnectionKey,
        settings: &OauthSettings,
        seen: i64,
    ) -> Result<Arc<Cached>, NoCredential> {
        let lease = lease_name(key);
        let mut waited = Duration::ZERO;
        let taken = loop {
            let current = self.load(key, None).await?;
            if current.version > seen {
                return Ok(current);
            }
            let now = self.clock.now();
            if let Some(end) = self.pause_until(key, now) {
                return Err(NoCredential::Unavailable { retry_after: now.until(end) });
            }
            let asked = Instant::now();
            match self.store.take_lease(&lease, &self.holder, now.plus(LEASE), now).await {
                Ok(true) => break asked,
                Ok(false) if waited < PATIENCE => {
                    tokio::time::sleep(POLL).await;
                    waited += POLL;
                }
                Ok(false) => return Err(NoCredential::Unavailable { retry_after: super::RETRY_AFTER }),
                Err(error) => return Err(unavailable(key, &error)),
            }
        };
        let result = self.refresh_with_lease(key, settings, seen, taken).await;
        if let Err(error) = self.store.release_lease(&lease, &self.holder).await {
            tracing::debug!(upstreamServerId = %key.upstream_id, %error, "a lease runs out by itself");
        }
        result
    }

    /// When the pause after a refresh that could not be answered ends, if it has not.
    fn pause_until(&self, key: &ConnectionKey, now: Timestamp) -> Option<Timestamp> {
        self.warm.not_before(key).filter(|end| end.is_to_come(LONGEST_PAUSE, now))
    }

    async fn refresh_with_lease(
        &self,
        key: &ConnectionKey,
        settings: &OauthSettings,
        seen: i64,
        taken: Instant,
    ) -> Result<Arc<Cached>, NoCredential> {
        let current = self.load(key, None).await?;
        if current.version > seen {
            return Ok(current);
        }
        let Some(held) = &current.held else { return Err(NoCredential::ConnectRequired(Need::ReconsentRequired)) };
        let Some(refresh_token) = held.refresh_token.as_ref() else {
            return self.ended(key, current.version, "no_refresh_token", None).await;
        };
        let client = match self.client_of(&current, settings).await {
            Ok(Some(client)) => client,
            Ok(None) => return self.ended(key, current.version, "registration_gone", None).await,
            Err(error) => return Err(unavailable(key, &error)),
        };
        // Nothing is spent yet. The lease must outlive the call that now begins, or another replica begins it, too.
        if taken.elapsed() > SLOWEST_START {
            return Err(NoCredential::Unavailable { retry_after: super::RETRY_AFTER });
        }
        match self.authorization.refresh(&held.server, &client, refresh_token.expose(), settings).await {
            Ok(tokens) => {
                self.commit(key, current.version, held, tokens).await?;
                REFRESHED.count();
                tracing::info!(event = "mcp_auth_upstream_connection_refreshed", upstreamServerId = %key.upstream_id,
                    subjectId = subject(key), "connection refreshed");
                self.load(key, None).await
            }
            Err(error) if error.is_transient() => {
                REFRESH_FAILED.count();
                tracing::warn!(event = "mcp_auth_upstream_refresh_failed", upstreamServerId = %key.upstream_id,
                    subjectId = subject(key), error = %causes(&error), "a refresh will be tried again");
                let retry_after = error.retry_after().unwrap_or(super::RETRY_AFTER).min(LONGEST_PAUSE);
                self.warm.back_off(key, self.clock.now().plus(retry_after));
                Err(NoCredential::Unavailable { retry_after })
            }
            Err(error) => {
                REFRESH_LOST.count();
                if let TokenError::ClientRejected { .. } = &error {
                    let removed = self
                        .store
                        .remove_upstream_client(&held.server.issuer, &held.redirect_uri, &client.client_id)
                        .await;
                    if let Err(error) = removed {
                        tracing::debug!(%error, "a registration that the upstream does not know stays for now");
                    }
                }
                tracing::warn!(event = "mcp_auth_upstream_connection_lost", upstreamServerId = %key.upstream_id,
                    subjectId = subject(key), error = %causes(&error),
                    "the upstream ended a connection");
                self.ended(key, current.version, "refused", None).await
            }
        }
    }

    /// Keeps the rotated tokens; the upstream has already forgotten the old ones, so a failing store is tried again.
    ///
    /// Until it is done the lease is prolonged, as far as the store lets us, so that no other replica presents the old
    /// token meanwhile.
    async fn commit(
        &self,
        key: &ConnectionKey,
        version: i64,
        before: &Held,
        tokens: Tokens,
    ) -> Result<(), NoCredential> {
        let now = self.clock.now();
        let held = Held {
            access_token: tokens.access_token,
            refresh_token: tokens.refresh_token.or_else(|| before.refresh_token.clone()),
            server: before.server.clone(),
            redirect_uri: before.redirect_uri.clone(),
            document_client: before.document_client.clone(),
        };
        let sealed_tokens = match sealed::seal(&self.key_ring, &tokens_context(key), &held) {
            Ok(sealed) => sealed,
            Err(error) => {
                tracing::error!(event = "mcp_auth_upstream_refresh_failed", %error, "tokens cannot be sealed");
                return Err(NoCredential::Unavailable { retry_after: super::RETRY_AFTER });
            }
        };
        let refreshed = RefreshedTokens {
            sealed_tokens,
            access_expires_at: tokens.expires_in.map(|lifetime| now.plus(lifetime)),
            scope: tokens.scope,
        };
        let mut attempt = 0;
        loop {
            match self.store.refresh_connection(key, version, &refreshed, now).await {
                Ok(_kept_or_replaced_by_a_new_connection) => return Ok(()),
                Err(error) if attempt < COMMIT_ATTEMPTS => {
                    attempt += 1;
                    tracing::warn!(event = "mcp_auth_store_failed", upstreamServerId = %key.upstream_id, attempt,
                        error = %causes(&error), "rotated tokens are not kept yet");
                    tokio::time::sleep(POLL * attempt).await;
                    let now = self.clock.now();
                    let _prolonged_or_still_down =
                        self.store.take_lease(&lease_name(key), &self.holder, now.plus(LEASE), now).await;
                }
                Err(error) => return Err(unavailable(key, &error)),
            }
        }
    }

    /// Marks the connection as ended, unless somebody gave it newer tokens meanwhile.
    pub(super) async fn ended(
        &self,
        key: &ConnectionKey,
        version: i64,
        reason: &'static str,
        as_key: Option<&KeySettings>,
    ) -> Result<Arc<Cached>, NoCredential> {
        match self.store.end_connection(key, version, self.clock.now()).await {
            Ok(true) => {
                self.warm.forget(key);
                tracing::warn!(event = "mcp_auth_upstream_connection_lost", upstreamServerId = %key.upstream_id,
                    subjectId = subject(key), reasonCode = reason, "a connection must be renewed by its person");
                Err(NoCredential::ConnectRequired(Need::ReconsentRequired))
            }
            Ok(false) => self.load(key, as_key).await,
            Err(error) => Err(unavailable(key, &error)),
        }
    }
}

/// How many refreshes are under way in this process; it must not end before they are kept.
pub fn refreshes_under_way() -> usize {
    UNDER_WAY.load(Ordering::Acquire)
}

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Counts one refresh for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::AcqRel);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::AcqRel);
    }
}

fn lease_name(key: &ConnectionKey) -> String {
    format!("refresh/{}/{}", subject(key), key.upstream_id)
}

/// The person of a connection, for the log.
fn subject(key: &ConnectionKey) -> &str {
    match &key.owner {
        Owner::User(subject) => subject.as_str(),
        Owner::Shared => "shared",
    }
}

/// Longer than a refresh may take (two calls of a token endpoint after [`SLOWEST_START`]), so that it runs out only when
/// its holder died.
const LEASE: Duration = Duration::from_secs(30);
/// How long the store may take between the lease and the call that spends the refresh token.
const SLOWEST_START: Duration = Duration::from_secs(5);
/// How long a request waits for another replica's refresh.
const PATIENCE: Duration = Duration::from_secs(12);
/// However long an authorization server asks us to wait.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);
const COMMIT_ATTEMPTS: u32 = 20;
