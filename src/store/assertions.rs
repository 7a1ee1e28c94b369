//! Identity assertions that clients redeem (ID-JAG, RFC 7523).

use async_trait::async_trait;

use super::{NewGrant, Result, User};
use crate::{clock::Timestamp, crypto::Digest};

/// An assertion that was verified, and what is issued for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssertionRedemption {
    /// Names the assertion: its issuer, subject and `jti`.
    pub assertion: Digest,
    /// When the assertion would no longer be accepted anyway.
    pub remember_until: Timestamp,
    /// Whom it is about. Who is known already keeps what the assertion does not say.
    pub user: User,
    /// The grant that it makes.
    pub grant: NewGrant,
    /// The digest of the access token; there is no refresh token.
    pub access: Digest,
    /// When the access token ends.
    pub access_expires_at: Timestamp,
}

/// What became of an attempt to redeem an assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedeemedAssertion {
    /// This call spent it; the access token is kept.
    Redeemed,
    /// It was spent before, or can no longer be.
    Replayed,
}

/// Assertions.
#[async_trait]
pub trait Assertions {
    /// Spends an assertion, keeps its person and what is issued for it, in one transaction; of many callers exactly one
    /// wins.
    async fn redeem_assertion(&self, redemption: &AssertionRedemption, now: Timestamp) -> Result<RedeemedAssertion>;
}
