//! `routes[]`: the MCP endpoints that clients see.

use std::fmt;

use crate::config::access::Access;
use crate::config::at::At;
use crate::config::capability::Capabilities;
use crate::config::check::Check;
use crate::config::file;
use crate::config::parse;
use crate::config::problem::{Fault, Place};
use crate::config::server::BasePath;
use crate::config::upstream::Upstream;

/// An MCP endpoint that clients see, with the upstream MCP server behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The path of the endpoint; unique.
    pub path: RoutePath,
    /// Names the route in tokens, logs and events; unique.
    pub operation_id: String,
    /// What people see.
    pub summary: String,
    /// The MCP server behind the route.
    pub upstream: Upstream,
    /// Who may use the route.
    pub access: Access,
    /// Which of the upstream's capabilities are visible.
    pub capabilities: Capabilities,
    /// What becomes of a tool whose definition changes.
    pub tool_pinning: file::ToolPinning,
}

/// A path of at least one plain segment, with a leading and without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RoutePath(String);

impl RoutePath {
    /// The path, such as `/mcp/linear`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What may exist only once among the routes.
#[derive(Default)]
struct Taken {
    paths: Vec<(String, Place)>,
    operation_ids: Vec<(String, Place)>,
    upstream_ids: Vec<(String, Place)>,
}

impl Route {
    /// Checks the section. Routes with problems are left out.
    pub fn check_all(at: &At<Vec<file::Route>>, base_path: &BasePath, check: &mut Check) -> Vec<Self> {
        let there = check.require(at, "at least one route, with `path`, `operationId` and `upstream.url`");
        let items = at.get().map_or(&[][..], Vec::as_slice);
        if there && at.get().is_some() && items.is_empty() {
            check.invalid(at, "at least one route");
        }
        let mut taken = Taken::default();
        items.iter().filter_map(|file| Self::check(file, base_path, &mut taken, check)).collect()
    }

    fn check(file: &file::Route, base_path: &BasePath, taken: &mut Taken, check: &mut Check) -> Option<Self> {
        let path = route_path(&file.path, base_path, check);
        if let Some(path) = &path {
            check.unique(&mut taken.paths, path.0.clone(), &file.path.place, &file.path.shown);
        }
        let needs = "a name for the route that never changes, such as linear-mcp-server";
        let operation_id = check.parse_required(&file.operation_id, needs, parse::slug);
        if let Some(id) = &operation_id {
            check.unique(&mut taken.operation_ids, id.clone(), &file.operation_id.place, &file.operation_id.shown);
        }
        let summary = check.text(&file.summary);
        let upstream = Upstream::check(&file.upstream, operation_id.as_deref(), summary.as_deref(), check);
        if let Some(upstream) = &upstream {
            let at = if file.upstream.id.is_unset() { &file.operation_id } else { &file.upstream.id };
            let shown = format!("the upstream id `{}`", upstream.id);
            check.unique(&mut taken.upstream_ids, upstream.id.clone(), &at.place, &shown);
        }
        let access = Access::check(&file.access, check);
        let capabilities = Capabilities::check(&file.capabilities, check);
        let tool_pinning = file.tool_pinning.get().copied().unwrap_or_default();
        let upstream = upstream?;
        let summary = summary.unwrap_or_else(|| upstream.display_name.clone());
        Some(Self { path: path?, operation_id: operation_id?, summary, upstream, access, capabilities, tool_pinning })
    }
}

fn route_path(at: &At<String>, base_path: &BasePath, check: &mut Check) -> Option<RoutePath> {
    let path = check.parse_required(at, "the path of the endpoint, such as /mcp/linear", parse::url_path)?;
    if path.is_empty() {
        check.invalid(at, "a path of at least one segment, such as /mcp");
        return None;
    }
    let reserved = ["/oauth", "/auth/connections", "/mcp-registry"].map(|path| base_path.join(path));
    let hidden = reserved.into_iter().find(|own| is_at_or_below(&path, own));
    let well_known = path.split('/').any(|segment| segment == ".well-known").then(|| "/.well-known".to_owned());
    if let Some(reserved) = hidden.or(well_known) {
        check.report(&at.place, Fault::Reserved { given: at.shown.clone(), reserved });
        return None;
    }
    Some(RoutePath(path))
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
