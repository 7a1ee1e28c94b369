//! `routes[]`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::default::{log, null, section};
use super::{Access, Capabilities, Upstream};
use crate::config::at::At;

/// An MCP endpoint that clients see, with the upstream MCP server behind it.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Route {
    /// The path of the endpoint, such as `/mcp/linear-v1`.
    pub path: At<String>,
    /// Names the route in tokens, logs and events; must not change while grants live.
    pub operation_id: At<String>,
    /// What people see: in `resource_name`, on the consent page, in the registry. Default: the upstream's `displayName`.
    #[schemars(default = "null")]
    pub summary: At<String>,
    /// The MCP server behind the route.
    pub upstream: Upstream,
    /// Who may use the route. Unset: everybody who can sign in.
    #[schemars(default = "section")]
    pub access: Access,
    /// Which of the upstream's capabilities are visible. Unset: all.
    #[schemars(default = "section")]
    pub capabilities: Capabilities,
    /// What becomes of a tool whose definition is not the one that was first seen.
    #[schemars(default = "log")]
    pub tool_pinning: At<ToolPinning>,
}

/// What becomes of a tool whose definition is not the one that was first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ToolPinning {
    /// It is told of, and the tool goes on.
    #[default]
    Log,
    /// The tool is hidden and refused until an administrator decides, at `/admin/tools`.
    Hold,
    /// Nobody looks.
    Ignore,
}
