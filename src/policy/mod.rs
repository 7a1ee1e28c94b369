//! Turns a `Principal` and a call into a `Permit`, a denial, or a narrowed view of what there is.

mod access;
mod capabilities;
mod view;

use std::sync::Arc;

pub use access::{Access, Rule};
pub use capabilities::{AccessControl, Capabilities, Capability};
pub use view::CallerView;

use foldhash::HashMap;

use crate::{
    pins::RoutePins,
    resource_server::{ClaimPath, Claims, Principal},
    routes::Route,
};

/// What the operator said about who may use a route, and what of it.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who may use the route.
    pub access: Access,
    /// What there is to see; everything if it is not said.
    pub capabilities: Option<Capabilities>,
    /// What becomes of tools whose definition changes; nobody looks if it is not said.
    pub pinning: Option<Pinning>,
}

/// What becomes of tools whose definition changes.
#[derive(Debug, Clone)]
pub struct Pinning {
    /// The definitions that count.
    pub pins: Arc<RoutePins>,
    /// Whether such a tool is hidden until an administrator decides.
    pub hold: bool,
}

/// The policies of all routes that have one, by operation id.
#[derive(Debug, Default)]
pub struct Policies(HashMap<String, Arc<Policy>>);

/// The proof that a principal may use a route. Only [`Policies::admit`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    principal: Arc<Principal>,
    route: Arc<Route>,
    policy: Option<Arc<Policy>>,
}

/// The route is not for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user may not use the route")]
pub struct Denied;

impl Policies {
    /// The policies of these routes.
    pub fn new(policies: impl IntoIterator<Item = (String, Policy)>) -> Self {
        Self(policies.into_iter().map(|(operation_id, policy)| (operation_id, Arc::new(policy))).collect())
    }

    /// Admits a principal to the route that its token was proven for.
    ///
    /// The token's audience and scope are the whole policy of a route that names no other.
    pub fn admit(&self, principal: Arc<Principal>, route: Arc<Route>) -> Result<Permit, Denied> {
        let policy = self.0.get(&route.operation_id).cloned();
        match &policy {
            Some(policy) if !policy.access.admits(principal.claims()) => Err(Denied),
            _ => Ok(Permit { principal, route, policy }),
        }
    }

    /// Whether a route is for everybody who can sign in.
    pub fn is_for_everybody(&self, operation_id: &str) -> bool {
        self.0.get(operation_id).is_none_or(|policy| policy.access.is_for_everybody())
    }

    /// Whether a user with these claims may use a route.
    pub fn may_use(&self, operation_id: &str, claims: &serde_json::Map<String, serde_json::Value>) -> bool {
        let Some(policy) = self.0.get(operation_id) else { return true };
        policy.access.admits(&Claims::of(&policy.claim_paths(), claims))
    }
}

impl Policy {
    /// The claims that the policy asks for.
    pub fn claim_paths(&self) -> Vec<ClaimPath> {
        let of_capabilities = self.capabilities.iter().flat_map(Capabilities::claim_paths);
        self.access.claim_paths().chain(of_capabilities).cloned().collect()
    }

    /// Whether anything of the upstream may be hidden from anybody.
    fn hides(&self) -> bool {
        self.capabilities.is_some() || self.pinning.as_ref().is_some_and(|pinning| pinning.hold)
    }
}

impl Permit {
    /// Who.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Who, for what outlives the permit.
    pub fn shared_principal(&self) -> Arc<Principal> {
        Arc::clone(&self.principal)
    }

    /// Where.
    pub fn route(&self) -> &Route {
        &self.route
    }

    /// What there is to see for the principal; none if that is everything.
    pub fn view(&self) -> Option<CallerView> {
        self.view_where(Policy::hides)
    }

    /// The view for looking at what passes unfiltered; none where nobody looks.
    pub fn observed(&self) -> Option<CallerView> {
        self.view_where(|policy| !policy.hides() && policy.pinning.is_some())
    }

    fn view_where(&self, fits: impl FnOnce(&Policy) -> bool) -> Option<CallerView> {
        let policy = self.policy.clone().filter(|policy| fits(policy))?;
        Some(CallerView::new(policy, Arc::clone(&self.principal)))
    }
}
