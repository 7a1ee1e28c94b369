//! Consents that are remembered, so that a person is not asked again by a client that can prove who it is.

use async_trait::async_trait;

use super::{ClientId, Result, SubjectId};
use crate::{clock::Timestamp, crypto::Digest};

/// What a remembered consent is about; any difference means that the person is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConsentKey {
    /// Who consented.
    pub subject: SubjectId,
    /// To whom.
    pub client_id: ClientId,
    /// Where the answer went.
    pub redirect_uri: String,
    /// The canonical resource URI.
    pub resource: String,
}

/// A remembered consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What it is about.
    pub key: ConsentKey,
    /// The route.
    pub operation_id: String,
    /// The scope that was consented to, space separated.
    pub scope: String,
    /// What the client was when the person looked at it: a digest of whatever of its metadata matters.
    pub metadata: Digest,
    /// When the person consented.
    pub approved_at: Timestamp,
    /// When the person is asked again.
    pub expires_at: Timestamp,
}

/// Remembered consents.
#[async_trait]
pub trait Consents {
    /// Remembers a consent in place of any earlier one of its key.
    async fn remember_consent(&self, consent: &Consent) -> Result<()>;

    /// The consent of that key, unless it has expired at `now`.
    async fn consent(&self, key: &ConsentKey, now: Timestamp) -> Result<Option<Consent>>;

    /// The consents of a person that live at `now`, newest first; at most a few hundred.
    async fn consents_of(&self, subject: &SubjectId, now: Timestamp) -> Result<Vec<Consent>>;

    /// Forgets what a person consented to for a client and a route, and says how many consents that were.
    async fn forget_consents(&self, subject: &SubjectId, client: &ClientId, operation_id: &str) -> Result<u64>;
}
