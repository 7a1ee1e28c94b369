//! `relay LISTEN UPSTREAM` relays from the first address to the second until killed, with Pingora's defaults.

use std::net::SocketAddr;

use async_trait::async_trait;
use pingora::{
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{RunArgs, Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

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

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(Ok(upstream))) = (arguments.next(), arguments.next().map(|text| text.parse())) else {
        panic!("relay LISTEN UPSTREAM, both as address:port");
    };
    let mut server = Server::new_with_opt_and_conf(None, ServerConf { threads: 1, ..ServerConf::default() });
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Relay { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run(RunArgs::default());
}
