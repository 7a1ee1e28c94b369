//! Upstreams that take an identity assertion in place of a connection (`authMode: id-jag`).
//!
//! The identity provider gives an assertion for the person and for this upstream's authorization server (RFC 8693), which
//! redeems it for an access token (RFC 7523). Nobody is sent anywhere. The token is kept in memory only: another replica,
//! and this one after a restart, gets one of its own. It is asked for anew at least every hour, so that what the company
//! decides at its identity provider holds within the hour.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;

use super::{
    ConnectLink, Credential, CredentialSource, Credentials, Need, NoCredential, OauthSettings, Server,
    authorization::{self, AuthorizationServer, RegisteredClient},
    connections::{Connections, bearer},
};
use crate::{
    clock::{Clock, Timestamp},
    identity::{Identity, NoAssertion, Wanted},
    policy::Permit,
    telemetry::causes,
    web::Origin,
};

/// The credentials of all upstreams: those by identity assertion are had here, the others from the connections.
pub struct IdJag {
    connections: Arc<Connections>,
    identity: Arc<Identity>,
    clock: Clock,
    kept: Cache<Name, Arc<Kept>>,
    wanted_scope: Cache<Name, Arc<str>>,
    versions: AtomicI64,
}

type Name = (String, String);

/// What came of the last attempt.
struct Kept {
    outcome: Result<Had, NoCredential>,
    until: Timestamp,
}

struct Had {
    headers: Arc<[(HeaderName, HeaderValue)]>,
    version: i64,
}

impl IdJag {
    /// The credentials of a gateway whose people sign in with `identity`.
    pub fn new(connections: Arc<Connections>, identity: Arc<Identity>, clock: Clock) -> Self {
        Self {
            connections,
            identity,
            clock,
            kept: Cache::new(CAPACITY),
            wanted_scope: Cache::new(CAPACITY),
            versions: AtomicI64::new(1),
        }
    }

    /// The token at hand, or a new one; callers who come at the same time share one attempt.
    async fn token(
        &self,
        permit: &Permit,
        server: &Server,
        settings: &OauthSettings,
        newer_than: Option<i64>,
    ) -> Result<Credential, NoCredential> {
        let name = name(permit, server);
        let now = self.clock.now();
        let is_stale = |kept: &Arc<Kept>| {
            !kept.until.is_to_come(LONGEST, now)
                || matches!(&kept.outcome, Ok(had) if newer_than.is_some_and(|seen| had.version <= seen))
        };
        self.kept.remove_if(&name, is_stale);
        let kept = match self.kept.get_value_or_guard_async(&name).await {
            Ok(kept) => kept,
            Err(guard) => {
                let kept = Arc::new(self.attempt(permit, server, settings).await);
                // Fails only if the place was evicted meanwhile; the token stays good for this caller.
                let _evicted = guard.insert(Arc::clone(&kept));
                kept
            }
        };
        match &kept.outcome {
            Ok(had) => Ok(Credential::of_connection(permit, Arc::clone(&had.headers), had.version)),
            Err(error) => Err(error.clone()),
        }
    }

    async fn attempt(&self, permit: &Permit, server: &Server, settings: &OauthSettings) -> Kept {
        let subject = permit.principal().subject();
        match self.redeem(permit, server, settings).await {
            Ok((headers, lifetime)) => {
                tracing::info!(event = "mcp_auth_upstream_assertion_redeemed", upstreamServerId = %server.id,
                    subjectId = %subject, outcome = "success", "an identity assertion was redeemed");
                let version = self.versions.fetch_add(1, Ordering::Relaxed);
                Kept { outcome: Ok(Had { headers, version }), until: self.clock.now().plus(lifetime) }
            }
            Err(error) => {
                let pause = match &error {
                    // The person may sign in at any moment, and looking costs one read.
                    NoCredential::ConnectRequired(_) => Duration::ZERO,
                    NoCredential::Unavailable { retry_after } => *retry_after,
                    NoCredential::Denied => DENIED_FOR,
                };
                Kept { outcome: Err(error), until: self.clock.now().plus(pause) }
            }
        }
    }

    /// One assertion, for one authorization server, redeemed once.
    async fn redeem(
        &self,
        permit: &Permit,
        server: &Server,
        settings: &OauthSettings,
    ) -> Result<(Arc<[(HeaderName, HeaderValue)]>, Duration), NoCredential> {
        let failed = |step: &'static str, error: &(dyn std::error::Error + 'static), transient: bool| {
            tracing::warn!(event = "mcp_auth_upstream_assertion_failed", upstreamServerId = %server.id, step,
                subjectId = %permit.principal().subject(), outcome = "failure", failureOrigin = "upstream",
                error = %causes(error), "no token could be had with an identity assertion");
            if transient { NoCredential::Unavailable { retry_after: RETRY_AFTER } } else { NoCredential::Denied }
        };
        let found = self.connections.find(server, settings).await;
        let found = found.map_err(|error| failed("discovery", &error, error.is_transient()))?;
        if !found.takes_id_jag {
            return Err(failed("discovery", &NotOffered, false));
        }
        let Some(client) = RegisteredClient::manual(&settings.registration) else {
            return Err(failed("client", &NotOffered, false));
        };
        let wanted = self.wanted(permit, server, settings, &found);
        let assertion = self.identity.assertion(permit.principal().subject(), &wanted).await;
        let assertion = assertion.map_err(|error| match error {
            NoAssertion::SignInRequired => NoCredential::ConnectRequired(Need::SignInRequired),
            error => failed("exchange", &error, matches!(error, NoAssertion::Unavailable(_))),
        })?;
        let tokens = self.connections.authorization().redeem_assertion(&found, &client, &assertion, settings).await;
        let tokens = tokens.map_err(|error| failed("redemption", &error, error.is_temporary()))?;
        let header = bearer(&tokens.access_token).ok_or(NoCredential::Denied)?;
        let lifetime = tokens.expires_in.unwrap_or(UNKNOWN_LIFETIME).min(LONGEST);
        Ok((Arc::new([header]), lifetime.saturating_sub((lifetime / 10).min(LONGEST_LEAD))))
    }

    fn wanted(
        &self,
        permit: &Permit,
        server: &Server,
        settings: &OauthSettings,
        found: &AuthorizationServer,
    ) -> Wanted {
        let extra = self.wanted_scope.get(&name(permit, server));
        let scopes = authorization::scopes(found, settings, extra.as_deref().unwrap_or_default()).into_iter();
        // There is no refresh token to be had.
        let scopes: Vec<String> = scopes.filter(|scope| scope != crate::oauth::scope::OFFLINE_ACCESS).collect();
        Wanted {
            audience: found.issuer.clone(),
            resource: authorization::resource(found, settings).map(str::to_owned),
            scope: (!scopes.is_empty()).then(|| scopes.join(" ")),
        }
    }
}

#[async_trait]
impl Credentials for IdJag {
    fn at_hand(&self, permit: &Permit, server: &Server) -> Option<Credential> {
        self.connections.at_hand(permit, server)
    }

    async fn credential(&self, permit: &Permit, server: &Server) -> Result<Credential, NoCredential> {
        match &server.credential {
            CredentialSource::IdJag(settings) => self.token(permit, server, settings, None).await,
            _ => self.connections.credential(permit, server).await,
        }
    }

    async fn renewed(
        &self,
        permit: &Permit,
        server: &Server,
        refused: &Credential,
    ) -> Result<Credential, NoCredential> {
        match &server.credential {
            CredentialSource::IdJag(settings) => self.token(permit, server, settings, Some(refused.version())).await,
            _ => self.connections.renewed(permit, server, refused).await,
        }
    }

    fn refused_again(&self, permit: &Permit, server: &Server, refused: &Credential) {
        let CredentialSource::IdJag(_) = &server.credential else {
            return self.connections.refused_again(permit, server, refused);
        };
        let name = name(permit, server);
        let is_this = |kept: &Arc<Kept>| matches!(&kept.outcome, Ok(had) if had.version <= refused.version());
        if self.kept.remove_if(&name, is_this).is_some() {
            let until = self.clock.now().plus(DENIED_FOR);
            self.kept.insert(name, Arc::new(Kept { outcome: Err(NoCredential::Denied), until }));
        }
    }

    async fn needs_scope(&self, permit: &Permit, server: &Server, scope: &str) {
        match &server.credential {
            CredentialSource::IdJag(_) => {
                let name = name(permit, server);
                self.wanted_scope.insert(name.clone(), Arc::from(scope));
                self.kept.remove(&name);
            }
            _ => self.connections.needs_scope(permit, server, scope).await,
        }
    }

    fn connect_link(&self, origin: &Origin, permit: &Permit, server: &Server) -> ConnectLink {
        self.connections.connect_link(origin, permit, server)
    }
}

/// The authorization server does not say that it redeems identity assertions.
#[derive(Debug, thiserror::Error)]
#[error("the authorization server of the upstream does not announce the grant profile id-jag")]
struct NotOffered;

fn name(permit: &Permit, server: &Server) -> Name {
    (permit.principal().subject().as_str().to_owned(), server.id.clone())
}

const CAPACITY: usize = 50_000;
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// How long a denial is believed without asking again.
const DENIED_FOR: Duration = Duration::from_secs(10);
const UNKNOWN_LIFETIME: Duration = Duration::from_mins(5);
const LONGEST: Duration = Duration::from_hours(1);
const LONGEST_LEAD: Duration = Duration::from_mins(1);
