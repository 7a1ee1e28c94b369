//! The clients that the authorization server knows: those that registered, and those whose id is the URL of a document
//! that says who they are.

mod cached;
mod documents;

use std::sync::Arc;

use self::documents::Documents;
pub(super) use self::documents::{DocumentError, KeyError};
use crate::{
    clock::{Clock, Timestamp},
    crypto::{Digest, SignedJwt},
    oauth::{AuthMethod, ClientDocument, ClientIdUrl, ClientKeys, InvalidClientIdUrl, RedirectKind, RedirectTarget},
    outbound,
    store::{self, ClientId, Store},
};

/// A client, wherever it is known from.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) id: ClientId,
    /// The name that it chose; nothing proves it.
    pub(super) name: Option<String>,
    /// Where authorization responses may go.
    pub(super) redirect_uris: Vec<String>,
    pub(super) authentication: Authentication,
    pub(super) known: Known,
}

/// How a client proves who it is at the token endpoint; it must do so every time.
#[derive(Debug, Clone)]
pub(super) enum Authentication {
    /// It cannot.
    None,
    /// With the secret of this digest.
    Secret(Digest),
    /// With an assertion signed by one of these keys.
    KeyPair(ClientKeys),
}

/// Where a client is known from.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// It registered itself.
    Registration { last_used_at: Timestamp },
    /// From its document, so whoever rules this host says who it is.
    Document { host: String, logo_uri: Option<String> },
}

/// Why a client id is nobody's.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoClient {
    #[error("no client of this id is registered")]
    Unknown,
    #[error("the client id is a URL that {0}")]
    Url(#[from] InvalidClientIdUrl),
    #[error("the client's metadata document at {host} is not usable: {source}")]
    Document { host: String, source: Box<DocumentError> },
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Finds clients by their ids.
pub(super) struct Clients {
    store: Arc<dyn Store>,
    documents: Documents,
    accepts_urls: bool,
}

impl Clients {
    /// `accepts_urls`: whether clients may come with a document instead of a registration.
    pub(super) fn new(store: Arc<dyn Store>, client: outbound::Client, accepts_urls: bool, clock: Clock) -> Self {
        Self { store, documents: Documents::new(client, clock), accepts_urls }
    }

    /// The client of this id; fetches its document where the id is a URL.
    pub(super) async fn find(&self, id: &ClientId) -> Result<Client, NoClient> {
        let Some(url) = self.url(id)? else { return self.registered(id).await };
        match self.documents.document(&url).await {
            Ok(document) => Ok(Client::from(&*document)),
            Err(source) => Err(NoClient::Document { host: url.host(), source: Box::new(source) }),
        }
    }

    /// The client of this id, or nothing where its document would have to be fetched to know it.
    ///
    /// Nobody but people who have signed in and clients with a grant make the gateway fetch what they name (SEP-991,
    /// "Best Practices").
    pub(super) async fn find_at_hand(&self, id: &ClientId) -> Result<Option<Client>, NoClient> {
        match self.url(id)? {
            None => self.registered(id).await.map(Some),
            Some(url) => Ok(self.documents.fresh(&url).map(|document| Client::from(&*document))),
        }
    }

    /// Whether the client can be told from others without fetching anything.
    pub(super) fn has_keys_of(&self, client: &Client) -> bool {
        match &client.authentication {
            Authentication::KeyPair(keys) => self.documents.has(keys),
            Authentication::None | Authentication::Secret(_) => true,
        }
    }

    /// Checks who signed a client's assertion.
    pub(super) async fn verify(&self, assertion: &str, keys: &ClientKeys) -> Result<SignedJwt, KeyError> {
        self.documents.verify(assertion, keys).await
    }

    fn url(&self, id: &ClientId) -> Result<Option<ClientIdUrl>, NoClient> {
        if !ClientIdUrl::is_meant_by(id.as_str()) {
            return Ok(None);
        }
        if !self.accepts_urls {
            return Err(NoClient::Unknown);
        }
        Ok(Some(ClientIdUrl::parse(id.as_str())?))
    }

    async fn registered(&self, id: &ClientId) -> Result<Client, NoClient> {
        Client::registered(self.store.client(id).await?.ok_or(NoClient::Unknown)?)
    }
}

impl Client {
    fn registered(client: store::Client) -> Result<Self, NoClient> {
        let impossible = || store::Error::Corrupt { what: "auth_method", source: None };
        Ok(Self {
            id: client.id,
            name: client.name,
            redirect_uris: client.redirect_uris,
            authentication: match client.auth_method {
                AuthMethod::None => Authentication::None,
                AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
                    Authentication::Secret(client.secret_digest.ok_or_else(impossible)?)
                }
                AuthMethod::PrivateKeyJwt => Authentication::KeyPair(client.keys.ok_or_else(impossible)?),
            },
            known: Known::Registration { last_used_at: client.last_used_at },
        })
    }

    /// Whether an answer to `target` reaches this very client and nobody else.
    ///
    /// Either the client authenticates itself when it redeems the code, or it is known by the host of its document and
    /// the answer goes to a web site, which no other program on the person's machine can pose as (OAuth 2.1, "Client
    /// Impersonation"). A public client that registered itself is never proven: anybody may register its redirect URI.
    pub(super) fn is_proven_at(&self, target: &RedirectTarget) -> bool {
        match (&self.authentication, &self.known) {
            (Authentication::Secret(_) | Authentication::KeyPair(_), _) => true,
            (Authentication::None, Known::Document { .. }) => matches!(target.kind(), RedirectKind::Https { .. }),
            (Authentication::None, Known::Registration { .. }) => false,
        }
    }

    /// A digest of what a person relies on who consents: a change of it makes an earlier consent worthless.
    pub(super) fn metadata_digest(&self) -> Digest {
        let authentication = match &self.authentication {
            Authentication::None => serde_json::json!("none"),
            Authentication::Secret(_) => serde_json::json!("secret"),
            Authentication::KeyPair(keys) => serde_json::json!(keys),
        };
        let logo_uri = match &self.known {
            Known::Document { logo_uri, .. } => logo_uri.as_deref(),
            Known::Registration { .. } => None,
        };
        Digest::of(&serde_json::json!([self.name, self.redirect_uris, authentication, logo_uri]).to_string())
    }
}

impl From<&ClientDocument> for Client {
    fn from(document: &ClientDocument) -> Self {
        Self {
            id: document.url.client_id(),
            name: document.name.clone(),
            redirect_uris: document.redirect_uris.clone(),
            authentication: match &document.keys {
                Some(keys) => Authentication::KeyPair(keys.clone()),
                None => Authentication::None,
            },
            known: Known::Document { host: document.url.host(), logo_uri: document.logo_uri.clone() },
        }
    }
}

impl NoClient {
    /// The reason in the log.
    pub(super) const fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_client",
            Self::Url(_) => "malformed_client_id",
            Self::Document { source, .. } if source.is_passing() => "unreadable_client_document",
            Self::Document { .. } => "invalid_client_document",
            Self::Store(_) => "store_failed",
        }
    }

    /// Whether the client may be known later.
    pub(super) const fn is_passing(&self) -> bool {
        matches!(self, Self::Document { source, .. } if source.is_passing())
    }
}
