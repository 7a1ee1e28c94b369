//! The store: what outlives a request, as whole atomic operations that say what happened.
//!
//! Every method is one business operation and one transaction. The condition stands inside the statement that spends,
//! so that two requests, two threads or two replicas can never both win. Times are parameters. Tokens, codes, client
//! secrets and cookies come in as digests; nothing here can be presented by who reads the database.

mod changes;
mod clients;
mod error;
mod grants;
mod interactions;
mod sessions;

use async_trait::async_trait;

pub use changes::{Change, Changes};
pub use clients::{AuthMethod, Client, ClientId, Clients};
pub use error::Error;
pub use grants::{
    AccessToken, Code, Grant, GrantId, Grants, IssuedTokens, NewCode, NewGrant, RedeemedCode, RefreshToken, Revoked,
    Rotation,
};
pub use interactions::{Interaction, InteractionId, Interactions, Login};
pub use sessions::{BrowserSession, BrowserSessions, SubjectId, User};

use crate::clock::Timestamp;

/// What a store operation returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything the gateway keeps; one value serves all threads.
#[async_trait]
pub trait Store: Clients + Interactions + Grants + BrowserSessions + Send + Sync + 'static {
    /// Brings the schema up to date under a lock; safe to call from several processes at once.
    async fn migrate(&self) -> Result<()>;

    /// Whether the store answers, for readiness.
    async fn ping(&self) -> Result<()>;

    /// Removes a bounded number of rows that can never matter again at `now`, and says how many.
    ///
    /// A registered client goes when it was last used before `unused_since` and no live grant is of it. Spent codes
    /// and rotated refresh tokens stay until their grant is gone or they have expired, since their reuse must be seen.
    async fn remove_expired(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64>;
}
