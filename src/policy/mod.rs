//! Turns a `Principal` and a call into a `Permit` or a denial.

use std::sync::Arc;

use crate::{resource_server::Principal, routes::Route};

/// The proof that a principal may use a route. Only [`admit`] makes one.
#[derive(Debug, Clone)]
pub struct Permit {
    principal: Arc<Principal>,
    route: Arc<Route>,
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
}

/// Admits a principal to the route that its token was proven for.
///
/// The token's audience and scope are the whole policy of a route that names no other.
pub fn admit(principal: Arc<Principal>, route: Arc<Route>) -> Permit {
    Permit { principal, route }
}
