//! The store: what outlives a request, as whole atomic operations that say what happened.
//!
//! Every method is one business operation and one transaction. The condition stands inside the statement that spends,
//! so that two requests, two threads or two replicas can never both win. Times are parameters. Tokens, codes, client
//! secrets and cookies come in as digests; nothing here can be presented by who reads the database.

mod assertions;
mod changes;
mod clients;
mod connections;
mod consents;
mod error;
mod grants;
mod interactions;
mod keys;
pub mod postgres;
mod sessions;
pub mod sqlite;
mod tools;
mod usage;

#[cfg(test)]
mod contract;
#[cfg(test)]
#[path = "../../tests/support/postgres.rs"]
#[allow(dead_code, reason = "standbys are for the tests of whole gateways")]
mod test_postgres;

use std::time::Duration;

use async_trait::async_trait;

pub use assertions::{AssertionRedemption, Assertions, RedeemedAssertion};
pub use changes::{Change, Changes};
pub use clients::{AuthMethod, Client, ClientId, ClientKeys, Clients};
pub use connections::{
    ConnectFlow, Connection, ConnectionKey, ConnectionState, Connections, Owner, RefreshedTokens, UpstreamClient,
};
pub use consents::{Consent, ConsentKey, Consents};
pub use error::Error;
pub use grants::{
    AccessToken, Code, Grant, GrantId, Grants, IssuedTokens, NewCode, NewGrant, OpenToken, RedeemedCode, RefreshToken,
    Revoked, Rotation,
};
pub use interactions::{Interaction, InteractionId, Interactions, Login};
pub use keys::{Keys, SealedKind, SealedPlace, SealedSigningKey, SealedValue};
pub use sessions::{BrowserSession, BrowserSessions, SubjectId, User};
pub use tools::{MAX_TOOLS, SeenTool, Sighting, ToolChange, ToolDecision, ToolPin, ToolPins};
pub use usage::{
    Buckets, Dimension, GATEWAY_BOUNDS, HOURS_ARE_KEPT_FOR, MINUTES_ARE_KEPT_FOR, UPSTREAM_BOUNDS, Usage, UsageKey,
    UsageQuery, UsageRecords, UsageSum,
};

use crate::clock::Timestamp;

/// How long the reuse of a rotated refresh token is recognised, and answered by revoking its grant.
pub const ROTATED_TOKENS_ARE_KEPT_FOR: Duration = Duration::from_hours(90 * 24);

/// The connections of a store to its database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Those that are idle.
    pub idle: u64,
    /// Those that are in use.
    pub used: u64,
    /// The most that there may be.
    pub max: u64,
    /// How many operations wait for one.
    pub waiting: u64,
}

/// What a store operation returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything the gateway keeps; one value serves all threads.
#[async_trait]
pub trait Store:
    Clients
    + Interactions
    + Grants
    + Assertions
    + Consents
    + BrowserSessions
    + Connections
    + Keys
    + ToolPins
    + UsageRecords
    + Send
    + Sync
    + 'static
{
    /// Brings the schema up to date under a lock; safe to call from several processes at once.
    async fn migrate(&self) -> Result<()>;

    /// Whether the store answers, for readiness.
    async fn ping(&self) -> Result<()>;

    /// The connections to the database, where there is a pool of them.
    fn pool(&self) -> Option<Pool> {
        None
    }

    /// Publishes what other processes change, for as long as it can be heard; pending for ever where one process has the
    /// store for itself.
    ///
    /// As soon as it hears, and so after every loss, it publishes [`Change::Unheard`].
    ///
    /// # Errors
    /// When nothing is heard any more; call it again.
    async fn hear(&self, changes: &Changes) -> Result<()>;

    /// Removes a bounded number of rows that can never matter again at `now`, and says how many.
    ///
    /// A registered client goes when it was last used before `unused_since` and no live grant is of it. A grant goes
    /// when it is revoked or expired, or when its code expired without having been redeemed. A redeemed code stays as
    /// long as its grant, since its reuse must be seen. So does a rotated refresh token, but at most for
    /// [`ROTATED_TOKENS_ARE_KEPT_FOR`]: a client that refreshes every 15 minutes would leave 350,000 of them in ten
    /// years. Later it is an unknown token. The sealed successors of a rotation are wiped when its grace window ends;
    /// a wiped row counts as removed. Connect flows, spent tickets, leases and remembered consents go when they expire.
    /// What is known of a user stays, and so do connections, our registrations at upstreams and keys.
    ///
    /// Call it again as long as it says more than zero; what it removes in one call stays bounded.
    async fn remove_expired(&self, now: Timestamp, unused_since: Timestamp) -> Result<u64>;
}
