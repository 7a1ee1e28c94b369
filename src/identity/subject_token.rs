//! What a sign-in left behind to prove who a person is: the ID token and the identity provider's refresh token, sealed.
//!
//! They are kept only where a route needs them (`authMode: id-jag`). They stand among the person's connections, since that
//! is what they are: a grant at an authorization server, refreshed once at a time and never half. An ID token lives for
//! minutes; a new one comes with the refresh token, and without one the person signs in again.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Identity, Provider, oidc};
use crate::{
    clock::Timestamp,
    crypto::{Secret, in_clear, in_clear_if_any, random_token},
    store::{self, Connection, ConnectionKey, ConnectionState, Owner, RefreshedTokens, SubjectId},
    telemetry::causes,
};

/// What an identity assertion is to be for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The authorization server of the upstream.
    pub audience: String,
    /// The upstream.
    pub resource: Option<String>,
    /// The scope, separated by spaces.
    pub scope: Option<String>,
}

/// Why there is no assertion.
#[derive(Debug, Clone, Error)]
pub enum NoAssertion {
    /// The person has to sign in: never did here, or nothing of it is good any more.
    #[error("the person must sign in again")]
    SignInRequired,
    /// The identity provider says no. It is a decision, and nobody is asked to overrule it.
    #[error("the identity provider denies it: {0}")]
    Denied(oidc::Error),
    /// The identity provider or the store does not answer.
    #[error("the identity provider cannot be asked at the moment: {0}")]
    Unavailable(String),
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Held {
    #[serde(serialize_with = "in_clear")]
    id_token: Secret,
    #[serde(serialize_with = "in_clear_if_any")]
    refresh_token: Option<Secret>,
}

/// A person's kept tokens, open.
struct Opened {
    held: Held,
    version: i64,
    id_token_ends_at: Option<Timestamp>,
}

impl Opened {
    fn is_fresh(&self, now: Timestamp) -> bool {
        self.id_token_ends_at.is_some_and(|end| now.plus(MARGIN) < end)
    }
}

impl Identity {
    /// Keeps the tokens of a sign-in, where a route needs them.
    pub(super) async fn keep_tokens(&self, subject: &SubjectId, claims: &oidc::IdentityClaims) -> store::Result<()> {
        if !self.settings.keep_tokens {
            return Ok(());
        }
        let now = self.clock.now();
        let held = Held { id_token: claims.id_token.clone(), refresh_token: claims.refresh_token.clone() };
        let key = key(subject);
        let sealed = self.seal(&key, &held);
        let connection = Connection {
            issuer: claims.issuer.clone(),
            access_expires_at: claims.expires_at(),
            last_used_at: Some(now),
            ..Connection::fresh(key, sealed, now)
        };
        self.store.save_connection(&connection).await
    }

    /// Whether an assertion for `subject` could be had without the person: the ID token is good, or can be renewed.
    pub async fn can_assert(&self, subject: &SubjectId) -> store::Result<bool> {
        let now = self.clock.now();
        let opened = self.opened(&key(subject)).await?;
        Ok(opened.is_some_and(|opened| opened.is_fresh(now) || opened.held.refresh_token.is_some()))
    }

    /// An identity assertion (ID-JAG) for `subject`, made for one authorization server and presented to no other.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn assertion(self: &Arc<Self>, subject: &SubjectId, wanted: &Wanted) -> Result<Secret, NoAssertion> {
        let Provider::Oidc(provider) = &self.provider else { return Err(NoAssertion::SignInRequired) };
        let id_token = self.fresh_id_token(subject).await?;
        match provider.exchange(&id_token, wanted).await {
            Ok(assertion) => Ok(assertion),
            Err(oidc::Error::Refused { code, .. }) if AGAIN.contains(&code.as_str()) => {
                self.end_tokens(&key(subject), &id_token).await?;
                Err(NoAssertion::SignInRequired)
            }
            Err(error) if error.is_transient() => Err(NoAssertion::Unavailable(error.to_string())),
            Err(error) => Err(NoAssertion::Denied(error)),
        }
    }

    /// Takes no more assertions from a sign-in that the provider no longer accepts, unless there was another one since.
    async fn end_tokens(&self, key: &ConnectionKey, refused: &Secret) -> Result<(), NoAssertion> {
        match self.opened(key).await.map_err(unavailable)? {
            Some(opened) if opened.held.id_token == *refused => {
                self.store.end_connection(key, opened.version, self.clock.now()).await.map(drop).map_err(unavailable)
            }
            _ => Ok(()),
        }
    }

    /// The ID token, renewed if it is about to end. That runs to its end even if the caller goes away, because a rotated
    /// refresh token must be kept.
    async fn fresh_id_token(self: &Arc<Self>, subject: &SubjectId) -> Result<Secret, NoAssertion> {
        let key = key(subject);
        let opened = self.opened(&key).await.map_err(unavailable)?.ok_or(NoAssertion::SignInRequired)?;
        if opened.is_fresh(self.clock.now()) {
            return Ok(opened.held.id_token);
        }
        let this = Arc::clone(self);
        let renewal = tokio::spawn(async move { this.renewed_in_turn(&key).await });
        renewal.await.map_err(|error| NoAssertion::Unavailable(error.to_string()))?
    }

    /// Waits for the lease, and uses what somebody else made of it in the meantime.
    async fn renewed_in_turn(&self, key: &ConnectionKey) -> Result<Secret, NoAssertion> {
        let (lease, holder) = (format!("identity/{}", key.sealing_context()), random_token(""));
        let mut waited = Duration::ZERO;
        loop {
            let now = self.clock.now();
            match self.opened(key).await.map_err(unavailable)? {
                None => return Err(NoAssertion::SignInRequired),
                Some(opened) if opened.is_fresh(now) => return Ok(opened.held.id_token),
                Some(_) => {}
            }
            match self.store.take_lease(&lease, &holder, now.plus(LEASE), now).await {
                Ok(true) => break,
                Ok(false) if waited < PATIENCE => {
                    tokio::time::sleep(POLL).await;
                    waited += POLL;
                }
                Ok(false) => return Err(NoAssertion::Unavailable("another replica renews it".to_owned())),
                Err(error) => return Err(unavailable(error)),
            }
        }
        let renewed = self.renew(key).await;
        if let Err(error) = self.store.release_lease(&lease, &holder).await {
            tracing::debug!(%error, "a lease runs out by itself");
        }
        renewed
    }

    async fn renew(&self, key: &ConnectionKey) -> Result<Secret, NoAssertion> {
        let Provider::Oidc(provider) = &self.provider else { return Err(NoAssertion::SignInRequired) };
        let opened = self.opened(key).await.map_err(unavailable)?.ok_or(NoAssertion::SignInRequired)?;
        if opened.is_fresh(self.clock.now()) {
            return Ok(opened.held.id_token);
        }
        let (Some(refresh_token), Owner::User(subject)) = (opened.held.refresh_token, &key.owner) else {
            return Err(NoAssertion::SignInRequired);
        };
        let renewed = match provider.renew(&refresh_token, subject).await {
            Ok(renewed) => renewed,
            Err(oidc::Error::Refused { code, .. }) if code == "invalid_grant" => {
                tracing::info!(
                    event = "mcp_auth_identity_ended",
                    subjectId = subject_of(key),
                    "the identity provider ended a sign-in; the person signs in again"
                );
                self.store.end_connection(key, opened.version, self.clock.now()).await.map_err(unavailable)?;
                return Err(NoAssertion::SignInRequired);
            }
            Err(error) => return Err(NoAssertion::Unavailable(error.to_string())),
        };
        let held = Held {
            id_token: renewed.id_token.clone(),
            refresh_token: Some(renewed.refresh_token.unwrap_or(refresh_token)),
        };
        let tokens = RefreshedTokens {
            sealed_tokens: self.seal(key, &held),
            access_expires_at: Some(renewed.expires_at),
            scope: None,
        };
        self.keep_renewed(key, opened.version, &tokens).await?;
        Ok(renewed.id_token)
    }

    /// The provider has already forgotten the old refresh token, so a failing store is tried again.
    async fn keep_renewed(
        &self,
        key: &ConnectionKey,
        version: i64,
        tokens: &RefreshedTokens,
    ) -> Result<(), NoAssertion> {
        let mut attempt = 0;
        loop {
            match self.store.refresh_connection(key, version, tokens, self.clock.now()).await {
                Ok(_kept_or_replaced_by_a_new_sign_in) => return Ok(()),
                Err(error) if attempt < KEEP_ATTEMPTS => {
                    attempt += 1;
                    tracing::warn!(event = "mcp_auth_store_failed", attempt, error = %causes(&error),
                        "renewed tokens of the identity provider are not kept yet");
                    tokio::time::sleep(POLL * attempt).await;
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// The kept tokens, if they are live and open.
    async fn opened(&self, key: &ConnectionKey) -> store::Result<Option<Opened>> {
        let Some(kept) = self.store.connection(key).await?.filter(|kept| kept.state == ConnectionState::Live) else {
            return Ok(None);
        };
        let plain = self.key_ring.open(&key.sealing_context(), &kept.sealed_tokens);
        let held = plain.ok().and_then(|plain| serde_json::from_slice(&plain).ok());
        if held.is_none() {
            tracing::error!(
                event = "mcp_auth_identity_unreadable",
                subjectId = subject_of(key),
                "the kept tokens of a sign-in do not open; the person signs in again"
            );
        }
        Ok(held.map(|held| Opened { held, version: kept.version, id_token_ends_at: kept.access_expires_at }))
    }

    fn seal(&self, key: &ConnectionKey, held: &Held) -> Vec<u8> {
        let plain = Zeroizing::new(serde_json::to_vec(held).expect("text serializes"));
        self.key_ring.seal(&key.sealing_context(), &plain)
    }
}

/// The identity provider among a person's connections; no upstream can have this id.
fn key(subject: &SubjectId) -> ConnectionKey {
    ConnectionKey { owner: Owner::User(subject.clone()), upstream_id: ":identity-provider".to_owned() }
}

fn subject_of(key: &ConnectionKey) -> &str {
    match &key.owner {
        Owner::User(subject) => subject.as_str(),
        Owner::Shared => "",
    }
}

fn unavailable(error: store::Error) -> NoAssertion {
    tracing::warn!(event = "mcp_auth_store_failed", error = %causes(&error), "the tokens of a sign-in cannot be read");
    NoAssertion::Unavailable(error.to_string())
}

/// Errors of the exchange that a new sign-in may mend (RFC 8693 section 2.2.2 names one, the draft the others).
const AGAIN: [&str; 4] =
    ["invalid_grant", "insufficient_user_authentication", "login_required", "interaction_required"];
/// An ID token must live through the calls that follow.
const MARGIN: Duration = Duration::from_secs(30);
/// Longer than a renewal may take, so that it runs out only when its holder died.
const LEASE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_millis(50);
const KEEP_ATTEMPTS: u32 = 20;
