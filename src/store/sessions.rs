//! Browser sessions and the people behind them.

use std::fmt;

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::Result;
use crate::{clock::Timestamp, crypto::Digest};

/// A person, stable per (issuer, sub) of the identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubjectId(String);

impl SubjectId {
    /// The subject of `sub` at `issuer` (OpenID Connect Core section 2: only the pair is unique).
    pub fn derive(issuer: &str, sub: &str) -> Self {
        let digest = Sha256::new().chain_update(issuer).chain_update([0]).chain_update(sub).finalize();
        Self(format!("sub_{}", URL_SAFE_NO_PAD.encode(&digest[..18])))
    }

    /// A subject read back from the store.
    pub fn from_stored(id: String) -> Self {
        Self(id)
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the identity provider says of a person; refreshed at every login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The stable identifier.
    pub subject: SubjectId,
    /// The identity provider's issuer.
    pub issuer: String,
    /// The identity provider's `sub`.
    pub sub: String,
    /// The e-mail address, if the identity provider says that it is verified or says nothing of it.
    pub email: Option<String>,
    /// The name to greet the person with.
    pub name: Option<String>,
    /// All claims of the ID token, as a JSON object, for policies.
    pub claims: serde_json::Map<String, serde_json::Value>,
}

/// A person signed in at one browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserSession {
    /// The digest of the cookie.
    pub digest: Digest,
    /// Who.
    pub user: User,
    /// When the person signed in.
    pub created_at: Timestamp,
    /// When the session ends.
    pub expires_at: Timestamp,
}

/// Browser sessions.
#[async_trait]
pub trait BrowserSessions {
    /// Keeps a new session, updates what is known of its user, and ends the session it replaces, in one transaction.
    async fn open_session(&self, session: &BrowserSession, replaces: Option<&Digest>) -> Result<()>;

    /// The live session of that cookie digest.
    async fn session(&self, digest: &Digest, now: Timestamp) -> Result<Option<BrowserSession>>;

    /// Ends a session; false if there was none.
    async fn end_session(&self, digest: &Digest) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::SubjectId;

    #[test]
    fn a_subject_depends_on_issuer_and_sub_and_on_where_they_part() {
        let id = SubjectId::derive("https://a", "b");
        assert_eq!(id, SubjectId::derive("https://a", "b"));
        assert_ne!(id, SubjectId::derive("https://ab", ""));
        assert_ne!(id, SubjectId::derive("https://b", "b"));
    }
}
