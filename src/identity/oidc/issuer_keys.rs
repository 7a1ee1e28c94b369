//! The keys of an issuer whose tokens come from elsewhere than a login.

use std::sync::Arc;

use serde::Deserialize;
use url::Url;

use super::{
    Error, IdTokenError,
    kept::Kept,
    metadata::{discovery_url, mismatch, usable},
    provider::LIMITS,
    signed::{self, Signed},
};
use crate::{
    clock::Clock,
    crypto::{KeySet, KeySetDocument},
    outbound,
};

/// An issuer and its keys, fetched when first needed and kept like those of the identity provider.
pub(in crate::identity) struct IssuerKeys {
    issuer: String,
    jwks: Option<Url>,
    discovery: Url,
    client: outbound::Client,
    kept: Kept<KeySet>,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: Option<String>,
}

impl IssuerKeys {
    pub(in crate::identity) fn new(
        issuer: String,
        jwks: Option<Url>,
        client: outbound::Client,
        clock: Clock,
    ) -> Result<Self, Error> {
        let discovery = discovery_url(&issuer).map_err(Error::Issuer)?;
        Ok(Self { issuer, jwks, discovery, client, kept: Kept::new(clock) })
    }

    pub(in crate::identity) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies a token's signature, once more with fresh keys if the issuer may have rotated them.
    pub(in crate::identity) async fn open(&self, token: &str) -> Result<Signed, Error> {
        let keys = self.kept.load(self.fetch()).await?;
        match signed::open(token, &keys) {
            Err(error @ (IdTokenError::UnknownKey | IdTokenError::Signature)) => {
                let fresh = self.kept.reload(self.fetch()).await?;
                if Arc::ptr_eq(&keys, &fresh) {
                    return Err(error.into());
                }
                Ok(signed::open(token, &fresh)?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn fetch(&self) -> Result<KeySet, Error> {
        let url = match &self.jwks {
            Some(url) => url.clone(),
            None => self.discover().await?,
        };
        let fetched = self.client.get_json::<KeySetDocument>(&url, LIMITS).await;
        Ok(KeySet::new(fetched.map_err(|error| Error::Keys(Arc::new(error)))?.body))
    }

    async fn discover(&self) -> Result<Url, Error> {
        let fetched = self.client.get_json::<Document>(&self.discovery, LIMITS).await;
        let document = fetched.map_err(|error| Error::Discovery(Arc::new(error)))?.body;
        if document.issuer != self.issuer {
            return Err(mismatch(&self.issuer, &document.issuer));
        }
        usable(document.jwks_uri, self.discovery.scheme()).ok_or(Error::Endpoint { member: "jwks_uri" })
    }
}
