//! What there is to see for one caller at one route.

use std::sync::Arc;

use super::Policy;
use crate::{
    mcp::filter::{Item, Kind, View},
    resource_server::Principal,
};

/// What there is to see for one caller at one route.
#[derive(Debug, Clone)]
pub struct CallerView {
    policy: Arc<Policy>,
    principal: Arc<Principal>,
}

impl CallerView {
    pub(super) const fn new(policy: Arc<Policy>, principal: Arc<Principal>) -> Self {
        Self { policy, principal }
    }
}

/// Without capabilities in the policy everything is shown but tools that wait for a decision.
impl View for CallerView {
    fn item(&self, kind: Kind, key: &str) -> Item<'_> {
        let capabilities = self.policy.capabilities.as_ref();
        capabilities.map_or(Item::Whole, |capabilities| capabilities.item(kind, key, self.principal.claims()))
    }

    fn shows_uri(&self, uri: &str) -> bool {
        let capabilities = self.policy.capabilities.as_ref();
        capabilities.is_none_or(|capabilities| capabilities.shows_uri(uri, self.principal.claims()))
    }

    fn hides_uris(&self) -> bool {
        self.policy.capabilities.as_ref().is_some_and(super::Capabilities::hide_uris)
    }

    fn shows_any(&self, kind: Kind) -> bool {
        let capabilities = self.policy.capabilities.as_ref();
        capabilities.is_none_or(|capabilities| capabilities.shows_any(kind, self.principal.claims()))
    }

    fn is_private(&self) -> bool {
        self.policy.capabilities.as_ref().is_some_and(super::Capabilities::depend_on_caller)
    }

    fn passes_method(&self, method: &str) -> bool {
        self.policy.capabilities.as_ref().is_none_or(|capabilities| capabilities.passes_method(method))
    }

    fn accepts_tool(&self, name: &str, definition: &str) -> bool {
        self.policy.pinning.as_ref().is_none_or(|pinning| pinning.pins.is_settled(name, definition) || !pinning.hold)
    }

    fn known_tool<'t>(&self, text: &'t str) -> Option<(&'t str, usize)> {
        self.policy.pinning.as_ref()?.pins.known(text)
    }

    fn holds_tool(&self, name: &str) -> bool {
        self.policy.pinning.as_ref().is_some_and(|pinning| pinning.hold && pinning.pins.waits(name))
    }
}
