//! The table of MCP routes: what a client sees, and which upstream stands behind it.
