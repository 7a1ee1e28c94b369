//! The one resource scope (RFC 6749 section 3.3).

/// The scope that every token carries.
pub const MCP_TOOLS: &str = "mcp:tools";

/// Whether a space-separated scope holds `one`.
pub fn contains(scope: &str, one: &str) -> bool {
    scope.split(' ').any(|item| item == one)
}
