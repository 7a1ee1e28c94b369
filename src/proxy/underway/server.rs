//! The application that Pingora's listeners run: the proxy, with a line to every exchange.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    protocols::{
        Stream,
        http::{ServerSession, v2::server::H2Options},
    },
    proxy::HttpProxy,
    server::ShutdownWatch,
};

use super::{
    downstream::Downstream,
    line::{LINE, Line},
};
use crate::proxy::edge::Gateway;

/// The edge as its listeners see it.
pub struct Edge(Arc<Exchanges>);

impl Edge {
    /// The edge of this proxy.
    pub fn new(proxy: HttpProxy<Gateway>) -> Self {
        Self(Arc::new(Exchanges(Arc::new(proxy))))
    }
}

#[async_trait]
impl ServerApp for Edge {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let line = Arc::new(Line::default());
        let stream = Box::new(Downstream::new(stream, Arc::clone(&line)));
        LINE.scope(line, self.0.process_new(stream, shutdown)).await
    }

    async fn cleanup(&self) {
        self.0.cleanup().await;
    }
}

/// The exchanges of one edge, one after the other on a connection or side by side.
struct Exchanges(Arc<HttpProxy<Gateway>>);

#[async_trait]
impl HttpServerApp for Exchanges {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        if !session.is_http2() {
            return self.0.process_new_http(session, shutdown).await;
        }
        // One stream of a connection can only be dropped, which resets it.
        let line = Arc::new(Line::default());
        let exchange = LINE.scope(Arc::clone(&line), self.0.process_new_http(session, shutdown));
        tokio::select! {
            biased;
            reusable = exchange => reusable,
            () = line.until_ended() => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        HttpServerApp::server_options(&*self.0)
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}
