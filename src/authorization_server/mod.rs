//! Issues codes and tokens to MCP clients.
