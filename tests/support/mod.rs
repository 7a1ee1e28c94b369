//! What tests are made of.

pub mod certificates;
pub mod credentials;
pub mod edge;
mod free_address;
pub mod http;
pub mod server;
pub mod store;
pub mod until;
pub mod upstream;

pub use edge::TestEdge;
pub use free_address::free_address;
pub use http::{Answer, Connection, Request};
pub use until::until;
pub use upstream::Upstream;
