//! Metadata documents of clients and the key sets that they point at, fetched through the guard.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use url::Url;

use super::cached::{Cached, New};
use crate::{
    clock::Clock,
    crypto::{KeySet, KeySetDocument, SignedJwt, SignedJwtError},
    oauth::{ClientDocument, ClientIdUrl, ClientKeys, InvalidClientDocument},
    outbound::{self, Limits},
};

/// What clients publish of themselves.
pub(super) struct Documents {
    client: outbound::Client,
    metadata: Cached<ClientDocument>,
    key_sets: Cached<KeySet>,
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// It could not be fetched; that may change.
    #[error(transparent)]
    Unreadable(#[from] outbound::Error),
    /// Only 200 is an answer (OAuth Client ID Metadata Document, "Metadata Discovery").
    #[error("its host answered with status {0}")]
    Status(StatusCode),
    /// It says nothing that we could work with.
    #[error(transparent)]
    Invalid(#[from] InvalidClientDocument),
}

/// Why an assertion was not verified.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The client's key set could not be fetched.
    #[error("the key set of the client could not be read: {0}")]
    Unreadable(#[from] outbound::Error),
    /// The keys in the client's metadata are not a key set.
    #[error("the client's keys are not a key set")]
    NotAKeySet(#[from] serde_json::Error),
    /// The assertion is not signed by the client.
    #[error("the client assertion is refused: {0}")]
    Assertion(#[from] SignedJwtError),
}

impl Documents {
    pub(super) fn new(client: outbound::Client, clock: Clock) -> Self {
        Self { client, metadata: Cached::new(DOCUMENTS, clock.clone()), key_sets: Cached::new(KEY_SETS, clock) }
    }

    /// The document at `url`, if it is at hand and fresh.
    pub(super) fn fresh(&self, url: &ClientIdUrl) -> Option<Arc<ClientDocument>> {
        self.metadata.fresh(url.url().as_str())
    }

    pub(super) async fn document(&self, url: &ClientIdUrl) -> Result<Arc<ClientDocument>, DocumentError> {
        self.metadata
            .load(url.url().as_str(), async {
                let fetched = self.client.get(url.url(), DOCUMENT).await?;
                if fetched.status != StatusCode::OK {
                    return Err(DocumentError::Status(fetched.status));
                }
                let document = ClientDocument::parse(url, &fetched.body)?;
                Ok(New { document, freshness: fetched.freshness })
            })
            .await
    }

    /// Whether these keys are at hand, so that nothing need be fetched to verify with them.
    pub(super) fn has(&self, keys: &ClientKeys) -> bool {
        match keys {
            ClientKeys::Inline(_) => true,
            ClientKeys::At(url) => self.key_sets.fresh(url.as_str()).is_some(),
        }
    }

    /// Verifies with the keys at hand, and once more with fresh ones if the client may have changed them.
    pub(super) async fn verify(&self, assertion: &str, keys: &ClientKeys) -> Result<SignedJwt, KeyError> {
        let url = match keys {
            ClientKeys::Inline(document) => {
                let keys = KeySet::new(serde_json::from_value::<KeySetDocument>(document.clone())?);
                return Ok(SignedJwt::verify(assertion, &keys)?);
            }
            ClientKeys::At(url) => url,
        };
        let keys = self.key_sets.load(url.as_str(), self.fetch_keys(url)).await?;
        match SignedJwt::verify(assertion, &keys) {
            Err(error @ (SignedJwtError::UnknownKey | SignedJwtError::Signature)) => {
                let fresh = self.key_sets.reload(url.as_str(), self.fetch_keys(url)).await?;
                if Arc::ptr_eq(&keys, &fresh) {
                    return Err(error.into());
                }
                Ok(SignedJwt::verify(assertion, &fresh)?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn fetch_keys(&self, url: &Url) -> Result<New<KeySet>, outbound::Error> {
        let fetched = self.client.get_json::<KeySetDocument>(url, KEY_SET).await?;
        Ok(New { document: KeySet::new(fetched.body), freshness: fetched.freshness })
    }
}

impl DocumentError {
    /// Whether it may be there later.
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::Status(_) => true,
            Self::Invalid(_) => false,
        }
    }
}

/// The size that the draft recommends, and a time for which a person waits.
const DOCUMENT: Limits = Limits { body: 5 * 1024, timeout: Duration::from_secs(5) };
const KEY_SET: Limits = Limits { body: 64 * 1024, timeout: Duration::from_secs(5) };
const DOCUMENTS: usize = 1024;
const KEY_SETS: usize = 256;
