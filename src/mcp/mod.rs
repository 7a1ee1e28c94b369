//! What MCP says on the wire, in both eras: heads, errors, the version names. No I/O.
