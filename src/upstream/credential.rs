//! What goes upstream in place of the client's own authorization.

use std::{fmt, sync::Arc};

use http::{HeaderName, HeaderValue};

use crate::policy::Permit;

/// Where the credential of an upstream comes from.
#[derive(Debug, Clone)]
pub enum CredentialSource {
    /// A public upstream.
    None,
    /// The same headers for everybody, from the configuration.
    Headers(Arc<[(HeaderName, HeaderValue)]>),
}

/// The headers that a permitted call carries upstream. Only a [`Permit`] gets one.
#[derive(Clone)]
pub struct Credential(Option<Arc<[(HeaderName, HeaderValue)]>>);

impl CredentialSource {
    /// The credential for a permitted call.
    pub fn credential(&self, _permit: &Permit) -> Credential {
        match self {
            Self::None => Credential(None),
            Self::Headers(headers) => Credential(Some(Arc::clone(headers))),
        }
    }
}

impl Credential {
    /// The headers to set.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}
