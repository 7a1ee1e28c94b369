//! Sallyport, a self-hosted MCP gateway.
//!
//! A sally port is a gate with two doors that never open together. Ours are two OAuth relationships: MCP clients
//! log in to the gateway (the outer door), and the gateway logs in to every upstream MCP server (the inner door).
//! The token that opens one door never opens the other.

pub mod app;
pub mod authorization_server;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod identity;
pub mod interaction;
pub mod mcp;
pub mod oauth;
pub mod octets;
pub mod outbound;
pub mod pages;
pub mod pins;
pub mod policy;
pub mod proxy;
pub mod registry;
pub mod resource_server;
pub mod routes;
pub mod store;
pub mod telemetry;
pub mod throttle;
pub mod upstream;
pub mod web;
