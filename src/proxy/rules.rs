//! What the configuration decides at the edge, in one piece that is replaced as a whole while requests are under way.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{
    AllowedOrigins, Endpoints, Error, connection::ConnectStates, origins::Origins, relay::McpSessions, relay::Targets,
};
use crate::{
    clock::Clock,
    crypto::KeyRing,
    policy::Policies,
    resource_server::ResourceServer,
    routes::Routes,
    upstream::{Credentials, Servers},
    web::OriginRules,
};

/// What the configuration decides.
pub struct Setup {
    /// Who answers the gateway's own endpoints.
    pub endpoints: Arc<dyn Endpoints>,
    /// Checks access tokens.
    pub resource_server: Arc<ResourceServer>,
    /// The MCP routes.
    pub routes: Arc<Routes>,
    /// Who may use the routes, and what of them.
    pub policies: Arc<Policies>,
    /// The upstream of every route.
    pub servers: Arc<Servers>,
    /// Where the credentials of connections come from.
    pub credentials: Arc<dyn Credentials>,
    /// How the outside reaches us.
    pub origin_rules: OriginRules,
    /// Which web pages may call MCP routes.
    pub allowed_origins: AllowedOrigins,
    /// Seals MCP session ids and what clients keep for us.
    pub key_ring: Arc<KeyRing>,
    /// The time.
    pub clock: Clock,
}

/// A setup made ready. An exchange keeps the rules that it began with.
pub struct Rules {
    pub(super) endpoints: Arc<dyn Endpoints>,
    pub(super) resource_server: Arc<ResourceServer>,
    pub(super) routes: Arc<Routes>,
    pub(super) policies: Arc<Policies>,
    pub(super) targets: Targets,
    pub(super) origins: Origins,
    pub(super) allowed_origins: AllowedOrigins,
    pub(super) credentials: Arc<dyn Credentials>,
    pub(super) sessions: McpSessions,
    pub(super) states: ConnectStates,
}

/// The rules that hold at the moment.
pub struct CurrentRules(ArcSwap<Rules>);

impl Rules {
    fn new(setup: Setup, before: Option<&Self>) -> Result<Self, Error> {
        Ok(Self {
            targets: Targets::new(&setup.routes, &setup.servers, before.map(|rules| &rules.targets))?,
            endpoints: setup.endpoints,
            resource_server: setup.resource_server,
            routes: setup.routes,
            policies: setup.policies,
            origins: Origins::new(setup.origin_rules),
            allowed_origins: setup.allowed_origins,
            credentials: setup.credentials,
            sessions: McpSessions::new(Arc::clone(&setup.key_ring)),
            states: ConnectStates::new(setup.key_ring, setup.clock),
        })
    }
}

impl CurrentRules {
    /// The first rules; fails where a route has no upstream or its TLS material cannot be used.
    pub(super) fn new(setup: Setup) -> Result<Self, Error> {
        Ok(Self(ArcSwap::from_pointee(Rules::new(setup, None)?)))
    }

    /// The rules for an exchange that begins.
    pub(super) fn load(&self) -> Arc<Rules> {
        self.0.load_full()
    }

    /// Makes further rules ready, which hold from [`CurrentRules::replace`] on. Calls under way on a route that stays count
    /// on it.
    pub fn prepare(&self, setup: Setup) -> Result<Rules, Error> {
        Rules::new(setup, Some(&self.load()))
    }

    /// Makes these the rules of every exchange that begins from now on.
    pub fn replace(&self, rules: Rules) {
        self.0.store(Arc::new(rules));
    }
}
