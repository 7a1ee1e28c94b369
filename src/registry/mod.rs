//! The read-only MCP Server Registry API (v0.1, server.json of 2025-12-11): an entry for each route that is for everybody.
//!
//! No answer depends on who asks, so every page and program may read it. What would need a person to be known, a route
//! that is limited by `access`, is not in it.

mod entry;
mod list;
mod path;

use std::sync::Arc;

use http::{Method, StatusCode, header};
use serde_json::json;

use self::{
    entry::Entry,
    list::{List, Malformed},
    path::Target,
};
use crate::{
    clock::Timestamp,
    routes::Route,
    web::{Request, Response},
};

/// The registry of one gateway.
pub struct Registry {
    routes: Vec<Arc<Route>>,
    /// When what it says began to hold.
    since: Timestamp,
}

impl Registry {
    /// A registry of these routes, as they are from `since` on.
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>, since: Timestamp) -> Self {
        let mut routes: Vec<_> = routes.into_iter().collect();
        routes.sort_by(|one, other| one.operation_id.cmp(&other.operation_id));
        Self { routes, since }
    }

    /// Answers a request; `endpoint` is the path below the base path, still percent-encoded.
    pub fn answer(&self, endpoint: &str, request: &Request) -> Response {
        let Some(target) = Target::at(endpoint) else {
            return refusal(request, StatusCode::NOT_FOUND, "not_found", "Not found");
        };
        match (target, &request.method) {
            (_, &Method::OPTIONS) => Response::preflight("GET"),
            (Target::List, &Method::GET) => self.list(request),
            (Target::Versions(name), &Method::GET) => match self.find(request, &name) {
                Some(entry) => Response::document(&list::page(vec![entry.response()], None)),
                None => unknown(request),
            },
            (Target::Version(name, version), &Method::GET) => match self.find(request, &name) {
                Some(entry) if entry::is_version(&version) => Response::document(&entry.response()),
                _ => unknown(request),
            },
            (Target::Publish, &Method::POST)
            | (Target::Version(..), &Method::PUT | &Method::DELETE)
            | (Target::Status, &Method::PATCH) => {
                let message = "This registry is read-only";
                refusal(request, StatusCode::NOT_IMPLEMENTED, "registry_read_only", message)
            }
            (Target::Publish | Target::Status, _) => {
                Response::method_not_allowed(&request.id, "OPTIONS").for_every_origin()
            }
            (Target::List | Target::Versions(_) | Target::Version(..), _) => {
                Response::method_not_allowed(&request.id, "GET, HEAD, OPTIONS").for_every_origin()
            }
        }
    }

    fn list(&self, request: &Request) -> Response {
        let list = match List::parse(request.query.as_deref().unwrap_or_default()) {
            Ok(list) => list,
            Err(malformed) => return malformed_query(request, &malformed),
        };
        let entries = self.routes.iter().map(|route| Entry::of(route, &request.origin, self.since));
        Response::document(&list.select(entries))
    }

    fn find(&self, request: &Request, name: &str) -> Option<Entry<'_>> {
        let mut entries = self.routes.iter().map(|route| Entry::of(route, &request.origin, self.since));
        entries.find(|entry| entry.name == name)
    }
}

/// Whether `endpoint`, a path below the base path, is one of ours.
pub fn is_endpoint(endpoint: &str) -> bool {
    endpoint.strip_prefix(REGISTRY).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn unknown(request: &Request) -> Response {
    refusal(request, StatusCode::NOT_FOUND, "not_found", "Server not found")
}

fn malformed_query(request: &Request, malformed: &Malformed) -> Response {
    refusal(request, StatusCode::BAD_REQUEST, "invalid_request", &malformed.to_string())
}

/// An error as the API has it.
fn refusal(request: &Request, status: StatusCode, reason: &'static str, message: &str) -> Response {
    let body = json!({"error": message, "requestId": request.id.as_str()});
    let response = Response::json(status, &body).for_every_origin().because(reason);
    if status == StatusCode::NOT_IMPLEMENTED { response.with(header::ALLOW, "GET, HEAD, OPTIONS") } else { response }
}

/// Where the registry lies, below the base path; what clients are given as its address.
pub const REGISTRY: &str = "/mcp-registry";
