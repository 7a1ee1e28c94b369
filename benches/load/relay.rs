//! The measure of all: a relay of Pingora as published, that does nothing but relay.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::{
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{RunArgs, Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

/// Relays from the first address to the second until killed.
///
/// The repository's patch of pingora-core changes nothing here: both of its switches are off unless they are set.
pub fn run(mut arguments: impl Iterator<Item = String>) {
    super::process::allow_many_files();
    let listen = arguments.next().unwrap();
    let upstream: SocketAddr = arguments.next().unwrap().parse().unwrap();
    let conf = ServerConf { threads: 1, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Relay { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run(RunArgs::default());
}

struct Relay {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _session: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}
