//! What `sallyport demo` brings along: a sample MCP server, and the text that says how to connect a client.

pub mod sample;
pub mod text;
