//! Names to addresses.

use std::{io, net::IpAddr, sync::Arc};

use async_trait::async_trait;

/// Looks up the addresses of upstreams; expected to remember them for their time to live.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, best first. An IP literal never comes here.
    async fn lookup(&self, host: &str) -> io::Result<Arc<[IpAddr]>>;
}
