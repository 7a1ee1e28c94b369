//! Grants: what a person allowed a client; they own codes and tokens and are revoked as one.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use super::{ClientId, Result, SubjectId};
use crate::{clock::Timestamp, crypto::Digest};

/// Names a grant in logs and in the store; never a secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId(pub String);

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person allowed a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// Who allowed.
    pub subject: SubjectId,
    /// Whom.
    pub client_id: ClientId,
    /// The route its tokens are good for.
    pub operation_id: String,
    /// The canonical resource URI its tokens are good for.
    pub resource: String,
    /// The scope, space separated.
    pub scope: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; no token of it lives longer.
    pub expires_at: Timestamp,
}

/// A grant to be made; the same facts as a kept one.
pub type NewGrant = Grant;

/// An authorization code to be kept (RFC 6749 section 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCode {
    /// The digest of the code.
    pub digest: Digest,
    /// The redirect URI of the authorization request; the token request must repeat it.
    pub redirect_uri: String,
    /// The PKCE `S256` challenge.
    pub code_challenge: String,
    /// When it stops being usable.
    pub expires_at: Timestamp,
}

/// A kept code with its grant, spent or not; reading it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// What the code is bound to.
    pub bound: NewCode,
    /// The grant it belongs to.
    pub grant: Grant,
}

/// The digests and ends of a pair of tokens to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedTokens {
    /// The digest of the access token.
    pub access: Digest,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
    /// The digest of the refresh token; it lives as long as its grant.
    pub refresh: Digest,
}

/// What became of an attempt to spend a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedeemedCode {
    /// This call spent it; the tokens are kept.
    Redeemed,
    /// It was spent before. If tokens were issued for it, its grant is now revoked (RFC 6749 section 4.1.2).
    Replayed,
    /// It came too late, its grant has ended, or there is no such code.
    Dead,
}

/// A kept refresh token with its grant, rotated or not; reading it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The grant it belongs to; neither revoked nor expired.
    pub grant: Grant,
    /// When its successor was issued.
    pub rotated_at: Option<Timestamp>,
}

/// What became of a presented refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotation {
    /// This call rotated it; the successors are kept.
    Rotated,
    /// It was rotated less than the grace window ago; here is what the first rotation sealed.
    WithinGrace {
        /// The sealed successor pair, as it was given to the rotation that won.
        sealed_successor: Vec<u8>,
    },
    /// It was rotated longer ago than the grace window; its grant is now revoked.
    Reused,
    /// There is no such token, or its grant is revoked, expired, or another client's.
    Dead,
}

/// A kept access token with its grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// The grant it belongs to; not revoked.
    pub grant: Grant,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The claims of the user, a JSON object; an empty one of a user who never signed in here.
    pub claims: String,
}

/// An access token by which something is open that nobody asks about again, such as a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenToken {
    /// The digest of the token.
    pub digest: Digest,
    /// Its grant.
    pub grant_id: GrantId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// What a revocation did (RFC 7009).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoked {
    /// The grant of a refresh token, with all its tokens.
    Grant(GrantId),
    /// One access token.
    AccessToken(GrantId),
    /// Nothing: no such token, or another client's.
    Nothing,
}

/// Grants with their codes and tokens.
#[async_trait]
pub trait Grants {
    /// The code of that digest if its grant lives, whether or not it is spent or expired.
    async fn code(&self, digest: &Digest, now: Timestamp) -> Result<Option<Code>>;

    /// Spends a code and keeps the tokens issued for it, in one transaction; of many callers exactly one wins.
    async fn redeem_code(&self, digest: &Digest, tokens: &IssuedTokens, now: Timestamp) -> Result<RedeemedCode>;

    /// Spends a code without issuing anything, because its redemption failed a check; a spent one stays as it is.
    async fn burn_code(&self, digest: &Digest, now: Timestamp) -> Result<()>;

    /// The refresh token of that digest if its grant is neither revoked nor expired.
    async fn refresh_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<RefreshToken>>;

    /// Rotates a refresh token of `client` and keeps its successors and the sealed pair, in one transaction.
    ///
    /// Of many callers exactly one rotates; the others get the sealed pair that the winner kept, as long as `grace` has
    /// not passed since. After that the grant is revoked.
    async fn rotate_refresh_token(
        &self,
        presented: &Digest,
        client: &ClientId,
        successors: &IssuedTokens,
        sealed_successor: &[u8],
        grace: Duration,
        now: Timestamp,
    ) -> Result<Rotation>;

    /// The access token of that digest, unless it is expired at `now`, revoked, or its grant is.
    async fn access_token(&self, digest: &Digest, now: Timestamp) -> Result<Option<AccessToken>>;

    /// Which of these were revoked, alone or with their grant; some hundreds at a time. One that has expired is not
    /// counted as revoked as long as its grant lives.
    async fn revoked_among(&self, tokens: &[OpenToken], now: Timestamp) -> Result<Vec<Digest>>;

    /// Revokes whatever the digest names, if it belongs to `client`.
    async fn revoke_token(&self, digest: &Digest, client: &ClientId, now: Timestamp) -> Result<Revoked>;

    /// The grants of a person that live at `now`, newest first; at most a few hundred.
    async fn grants_of(&self, subject: &SubjectId, now: Timestamp) -> Result<Vec<Grant>>;

    /// Revokes a grant with all its codes and tokens; false if there was nothing to revoke.
    async fn revoke_grant(&self, id: &GrantId, now: Timestamp) -> Result<bool>;
}
