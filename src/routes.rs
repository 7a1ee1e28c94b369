//! The table of MCP routes: what a client sees, and which upstream stands behind it.

use std::sync::Arc;

use foldhash::HashMap;

/// A client-visible MCP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The path, with a leading and without a trailing slash; never the root.
    pub path: String,
    /// The stable name that tokens are bound to.
    pub operation_id: String,
    /// What people read: resource name, consent page.
    pub title: String,
    /// The upstream's id.
    pub upstream_id: String,
    /// What people read as the name of the upstream.
    pub upstream_title: String,
}

/// All routes, by path and by operation id.
#[derive(Debug, Default)]
pub struct Routes {
    by_path: HashMap<String, Arc<Route>>,
    by_operation_id: HashMap<String, Arc<Route>>,
    in_order: Vec<Arc<Route>>,
}

impl Routes {
    /// The table of these routes; the configuration has made sure that paths and operation ids are unique.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let in_order: Vec<_> = routes.into_iter().map(Arc::new).collect();
        Self {
            by_path: in_order.iter().map(|route| (route.path.clone(), Arc::clone(route))).collect(),
            by_operation_id: in_order.iter().map(|route| (route.operation_id.clone(), Arc::clone(route))).collect(),
            in_order,
        }
    }

    /// The route at exactly this path, with or without one trailing slash.
    pub fn at(&self, path: &str) -> Option<&Arc<Route>> {
        self.by_path.get(path.strip_suffix('/').unwrap_or(path))
    }

    /// The route of this operation id.
    pub fn of(&self, operation_id: &str) -> Option<&Arc<Route>> {
        self.by_operation_id.get(operation_id)
    }

    /// The only route, when exactly one exists.
    pub fn sole(&self) -> Option<&Arc<Route>> {
        match self.in_order.as_slice() {
            [route] => Some(route),
            _ => None,
        }
    }

    /// All routes in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.in_order.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, operation_id: &str) -> Route {
        Route {
            path: path.to_owned(),
            operation_id: operation_id.to_owned(),
            title: operation_id.to_owned(),
            upstream_id: operation_id.to_owned(),
            upstream_title: operation_id.to_owned(),
        }
    }

    #[test]
    fn one_trailing_slash_makes_no_difference_and_nothing_else_does_not() {
        let routes = Routes::new([route("/mcp/a", "a"), route("/mcp/b", "b")]);
        assert_eq!(routes.at("/mcp/a/").unwrap().operation_id, "a");
        for other in ["/mcp/a//", "/mcp", "/MCP/a", "/mcp/a/b", "/mcp/%61", "/mcp/./a", "//mcp/a", ""] {
            assert!(routes.at(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_sole_route_is_known_as_such() {
        assert!(Routes::new([route("/mcp/a", "a")]).sole().is_some());
        assert!(Routes::new([route("/mcp/a", "a"), route("/mcp/b", "b")]).sole().is_none());
    }
}
