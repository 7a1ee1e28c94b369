//! The application that Pingora's listeners run: the proxy, with a line to every exchange.

use std::{pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    protocols::{
        ALPN, Stream,
        http::{ServerSession, v2::server::H2Options},
    },
    proxy::HttpProxy,
    server::ShutdownWatch,
};

use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};

use super::{
    Underway,
    connections::Connections,
    downstream::Downstream,
    line::{LINE, Line},
};
use crate::proxy::edge::Gateway;

/// The edge as its listeners see it.
pub struct Edge {
    exchanges: Arc<Exchanges>,
    connections: Arc<Connections>,
}

impl Edge {
    /// The edge of this proxy, whose connections are counted in `underway`.
    pub fn new(proxy: HttpProxy<Gateway>, underway: &Underway) -> Self {
        let exchanges = Arc::new(Exchanges(Arc::new(proxy)));
        Self { exchanges, connections: Arc::clone(&underway.connections) }
    }
}

#[async_trait]
impl ServerApp for Edge {
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let line = Arc::new(Line::default());
        let digest = stream.get_socket_digest();
        let peer = digest.as_deref().and_then(|digest| digest.peer_addr()?.as_inet());
        let Some(place) = self.connections.open(peer.map(|peer| peer.ip().to_canonical()), &line) else {
            refuse(stream).await;
            return None;
        };
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            // Its frames have time-outs of their own.
            line.awaits_nothing();
        }
        let stream = Box::new(Downstream::new(stream, Arc::clone(&line), place));
        LINE.scope(line, self.exchanges.process_new(stream, shutdown)).await
    }

    /// Nothing is accepted any more. From here on Pingora closes every connection that waits for a request, also one that
    /// was accepted a moment ago and has its request in flight; so those get their answer first.
    async fn cleanup(&self) {
        sleep(LAST_REQUESTS_COME_WITHIN).await;
        self.exchanges.cleanup().await;
    }
}

/// Says that there are too many connections, as far as the client listens at once.
async fn refuse(mut stream: Stream) {
    if !matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
        let _told_or_not = timeout(LAST_WORDS, async {
            stream.write_all(FULL).await?;
            stream.flush().await
        })
        .await;
    }
    let _closed_or_not = timeout(LAST_WORDS, stream.shutdown()).await;
}

/// How long after its connection a request may come, where the listener has closed behind it.
const LAST_REQUESTS_COME_WITHIN: Duration = Duration::from_secs(1);
const LAST_WORDS: Duration = Duration::from_millis(500);
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The exchanges of one edge, one after the other on a connection or side by side.
struct Exchanges(Arc<HttpProxy<Gateway>>);

#[async_trait]
impl HttpServerApp for Exchanges {
    // Written out, since the exchange of an HTTP/1 connection needs no second box around the proxy's own.
    fn process_new_http<'s, 'w, 'f>(
        self: &'s Arc<Self>,
        session: ServerSession,
        shutdown: &'w ShutdownWatch,
    ) -> Pin<Box<dyn Future<Output = Option<ReusedHttpStream>> + Send + 'f>>
    where
        's: 'f,
        'w: 'f,
        Self: 'f,
    {
        if !session.is_http2() {
            return self.0.process_new_http(session, shutdown);
        }
        // One stream of a connection can only be dropped, which resets it.
        let line = Arc::new(Line::default());
        let exchange = LINE.scope(Arc::clone(&line), self.0.process_new_http(session, shutdown));
        Box::pin(async move {
            tokio::select! {
                biased;
                reusable = exchange => reusable,
                () = line.until_ended() => None,
            }
        })
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
