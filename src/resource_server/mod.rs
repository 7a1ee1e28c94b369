//! Turns a bearer token into a `Principal`, or a refusal that says which challenge to answer with.
//!
//! The warm path is one SHA-256, one cache look-up and a few comparisons. An entry is believed for [`STALENESS`]; after
//! that, or when a revocation is announced, the store is asked again. Expiry and audience are checked every time.

mod claims;
mod principal;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use thiserror::Error;
use tokio::{sync::Semaphore, time::timeout};

pub use claims::{ClaimPath, ClaimPaths, Claims};
pub use principal::Principal;

use crate::{
    clock::{Clock, Timestamp},
    crypto::Digest,
    oauth::{bearer, scope},
    octets,
    routes::Route,
    store::{self, AccessToken, Change, Changes, Store},
    telemetry::counters::{TOKEN_HITS, TOKEN_MISSES},
    web::{Origin, RequestId},
};

/// How long a token may still be accepted that another process revoked, where nobody hears of it.
pub const STALENESS: Duration = Duration::from_secs(10);

/// Why a request is not let in.
#[derive(Debug, Error)]
pub enum Refusal {
    /// No credentials came with the request.
    #[error("no access token was sent")]
    Missing,
    /// The header is not one well-formed bearer token.
    #[error("the Authorization header does not hold one bearer token")]
    Malformed,
    /// Unknown, expired or revoked: which of them is nobody's business.
    #[error("the access token is unknown, expired or revoked")]
    Invalid,
    /// A token of another route or of another origin.
    #[error("the access token is not for this route")]
    InvalidAudience,
    /// The right route but not the scope.
    #[error("the access token lacks the scope mcp:tools")]
    InsufficientScope,
    /// The store could not say.
    #[error("the access token cannot be checked at the moment")]
    Unavailable(#[source] store::Error),
    /// Too many tokens wait to be looked up.
    #[error("too many access tokens are being checked at the moment")]
    Busy,
}

/// Checks access tokens.
pub struct ResourceServer {
    store: Arc<dyn Store>,
    clock: Clock,
    claim_paths: ClaimPaths,
    cache: Cache<Digest, Arc<Entry>>,
    changes: AtomicU64,
    /// Turns at the store, so that a flood of unknown tokens leaves the rest of it to people who sign in.
    lookups: Semaphore,
}

/// When this process met a token.
enum Met {
    Now,
    Before,
}

struct Entry {
    principal: Arc<Principal>,
    loaded_at: Timestamp,
}

impl ResourceServer {
    /// A resource server that forgets what `changes` announces.
    pub fn new(store: Arc<dyn Store>, changes: &Changes, clock: Clock) -> Arc<Self> {
        Self::with_claims(store, changes, ClaimPaths::default(), clock)
    }

    /// The same with principals of whom these claims are known.
    pub fn with_claims(store: Arc<dyn Store>, changes: &Changes, claim_paths: ClaimPaths, clock: Clock) -> Arc<Self> {
        let server = Arc::new(Self {
            store,
            clock,
            claim_paths,
            cache: Cache::new(CACHED_TOKENS),
            changes: AtomicU64::new(0),
            lookups: Semaphore::new(LOOKUPS),
        });
        changes.subscribe(&server, Self::forget);
        server
    }

    /// The principal of a request to `route` that reached us at `origin`, proven by its only `Authorization` header.
    ///
    /// That a token is good is told when this process meets it, and not again while it is known.
    pub async fn authenticate(
        &self,
        headers: &http::HeaderMap,
        origin: &Origin,
        route: &Route,
        request: Option<&RequestId>,
    ) -> Result<Arc<Principal>, Refusal> {
        let token = match bearer::token(headers) {
            Ok(token) => token,
            Err(bearer::Error::Missing) => return Err(Refusal::Missing),
            Err(_malformed) => return Err(Refusal::Malformed),
        };
        if !looks_like_ours(token) {
            return Err(Refusal::Invalid);
        }
        let (principal, met) = self.principal(Digest::of(token)).await?;
        if !principal.is_for(origin, route) {
            return Err(Refusal::InvalidAudience);
        }
        if !scope::contains(principal.scope(), scope::TOOLS) {
            return Err(Refusal::InsufficientScope);
        }
        if let Met::Now = met {
            tracing::info!(event = "mcp_auth_downstream_token_validated", requestId = request.map(RequestId::as_str),
                operationId = route.operation_id, upstreamServerId = route.upstream_id,
                subjectId = principal.subject().as_str(), clientId = %principal.client_id(),
                "an access token was used for the first time here");
        }
        Ok(principal)
    }

    async fn principal(&self, digest: Digest) -> Result<(Arc<Principal>, Met), Refusal> {
        let now = self.clock.now();
        let known = self.cache.get(&digest);
        let met = if known.is_some() { Met::Before } else { Met::Now };
        if let Some(entry) = known
            && entry.loaded_at.is_within(STALENESS, now)
        {
            TOKEN_HITS.count();
            return if now < entry.principal.expires_at() {
                Ok((Arc::clone(&entry.principal), met))
            } else {
                Err(Refusal::Invalid)
            };
        }
        TOKEN_MISSES.count();
        let Ok(Ok(turn)) = timeout(PATIENCE, self.lookups.acquire()).await else { return Err(Refusal::Busy) };
        let changes = self.changes.load(Ordering::Acquire);
        let Some(AccessToken { grant, expires_at, claims }) =
            self.store.access_token(&digest, now).await.map_err(Refusal::Unavailable)?
        else {
            self.cache.remove(&digest);
            return Err(Refusal::Invalid);
        };
        drop(turn);
        let principal = Arc::new(Principal::proven(
            digest,
            self.claim_paths.project(&grant.operation_id, &claims),
            grant,
            expires_at,
        ));
        self.cache.insert(digest, Arc::new(Entry { principal: Arc::clone(&principal), loaded_at: now }));
        if self.changes.load(Ordering::Acquire) != changes {
            self.cache.remove(&digest);
        }
        Ok((principal, met))
    }

    fn forget(&self, change: &Change) {
        // What is being looked up meanwhile is not kept.
        self.changes.fetch_add(1, Ordering::AcqRel);
        match change {
            Change::AccessTokenRevoked(digest) => drop(self.cache.remove(digest)),
            Change::GrantRevoked(grant) => self.cache.retain(|_, entry| entry.principal.grant_id() != grant),
            Change::Unheard => self.cache.clear(),
            Change::ConnectionRefreshed(..) | Change::ConnectionGone(_) | Change::ToolPinsChanged => {}
        }
    }
}

/// Our tokens have one shape; anything else needs no look-up.
fn looks_like_ours(token: &str) -> bool {
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    token.strip_prefix("at_").is_some_and(|rest| rest.len() == 43 && octets::are_all(rest.as_bytes(), base64url))
}

const CACHED_TOKENS: usize = 100_000;
/// Half of the connections that the store has.
const LOOKUPS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);
