//! What goes upstream in place of the client's own authorization.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::{KeySettings, OauthSettings};
use crate::policy::Permit;

/// Where the credential of an upstream comes from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// A public upstream.
    None,
    /// The same headers for everybody, from the configuration.
    Headers(Arc<[(HeaderName, HeaderValue)]>),
    /// Every person's own connection.
    UserOauth(Arc<OauthSettings>),
    /// One connection for everybody, made by an administrator.
    SharedOauth(Arc<OauthSettings>),
    /// Every person's own API key.
    UserKey(Arc<KeySettings>),
    /// A token of the person, had with an assertion of the identity provider.
    IdJag(Arc<OauthSettings>),
}

/// The headers that a permitted call carries upstream. Only a [`Permit`] gets one.
#[derive(Clone)]
pub struct Credential {
    headers: Option<Arc<[(HeaderName, HeaderValue)]>>,
    version: i64,
}

impl CredentialSource {
    /// The credential that needs no connection, if this is such a source.
    pub fn fixed(&self, _permit: &Permit) -> Option<Credential> {
        match self {
            Self::None => Some(Credential { headers: None, version: 0 }),
            Self::Headers(headers) => Some(Credential { headers: Some(Arc::clone(headers)), version: 0 }),
            Self::UserOauth(_) | Self::SharedOauth(_) | Self::UserKey(_) | Self::IdJag(_) => None,
        }
    }
}

impl Credential {
    /// The credential of a connection at this version of its tokens.
    pub(super) fn of_connection(_permit: &Permit, headers: Arc<[(HeaderName, HeaderValue)]>, version: i64) -> Self {
        Self { headers: Some(headers), version }
    }

    /// The headers to set.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.headers.as_deref().unwrap_or_default()
    }

    /// Which version of the connection's tokens it is.
    pub(super) const fn version(&self) -> i64 {
        self.version
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}
