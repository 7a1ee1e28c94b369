//! What the person must still do before an authorization request can finish.
//!
//! Login and consent are the authorization server's own prompts. The third one, connecting the upstreams that a route
//! needs, belongs to `upstream`, which answers through [`ConnectPrompts`].

use async_trait::async_trait;

use crate::{
    routes::Route,
    store::{self, InteractionId, User},
};

/// An upstream that a route depends on, as it stands for one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// Its name for people.
    pub title: String,
    /// The scopes that will be asked for, as far as they are known.
    pub scopes: Vec<String>,
    /// Whether it is ready.
    pub state: DependencyState,
}

/// Whether an upstream is ready for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DependencyState {
    /// It needs no connection.
    NothingNeeded,
    /// There is a live connection.
    Connected,
    /// The person has to connect it first.
    NeedsConnection {
        /// The path and query that begins it and leads back to the interaction.
        connect: String,
    },
    /// An administrator has to connect it, and this person is none.
    NeedsAdministrator,
}

/// Says what a person has to connect before a route can be used.
#[async_trait]
pub trait ConnectPrompts: Send + Sync + 'static {
    /// The upstreams of `route` as they stand for `user`, who is deciding on `interaction`.
    async fn dependencies(
        &self,
        user: &User,
        route: &Route,
        interaction: &InteractionId,
    ) -> store::Result<Vec<Dependency>>;

    /// Whether `route` is for `user` at all.
    fn is_open_to(&self, user: &User, route: &Route) -> bool;
}

/// Whether nothing is left to connect.
pub fn is_ready(dependencies: &[Dependency]) -> bool {
    dependencies
        .iter()
        .all(|upstream| matches!(upstream.state, DependencyState::Connected | DependencyState::NothingNeeded))
}
