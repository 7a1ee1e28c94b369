//! What tests are made of.

pub mod certificates;
pub mod credentials;
pub mod edge;
pub mod http;
pub mod server;
pub mod store;
pub mod until;
pub mod upstream;

pub use edge::TestEdge;
pub use http::{Answer, Connection, Request};
pub use until::until;
pub use upstream::Upstream;
