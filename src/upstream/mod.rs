//! Upstream MCP servers: turns a `Permit` into a `Credential`.
