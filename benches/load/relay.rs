//! A relay that does nothing but relay, with our patches of Pingora, and with their switches on or off.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::{
    protocols::http::ServerSession,
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{RunArgs, Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

/// Relays from the first address to the second until killed.
///
/// What is to be set of our settings and switches is set if there is a third argument.
pub fn run(mut arguments: impl Iterator<Item = String>) {
    super::process::allow_many_files();
    let listen = arguments.next().unwrap();
    let upstream: SocketAddr = arguments.next().unwrap().parse().unwrap();
    let merged = arguments.next().is_some();
    let conf =
        ServerConf { threads: 1, work_stealing: !merged, unwatched_idle_connections: merged, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Relay { upstream, merged });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run(RunArgs::default());
}

struct Relay {
    upstream: SocketAddr,
    merged: bool,
}

#[async_trait]
impl ProxyHttp for Relay {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn early_request_filter(&self, session: &mut Session, (): &mut ()) -> pingora::Result<()> {
        if let (true, ServerSession::H1(http1)) = (self.merged, session.as_downstream_mut()) {
            http1.set_merge_response_writes(true);
        }
        Ok(())
    }

    async fn upstream_peer(&self, _session: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.upstream, false, String::new());
        peer.options.h1_merge_request_writes = self.merged;
        peer.options.h1_exchange_in_turn = self.merged;
        Ok(Box::new(peer))
    }
}
