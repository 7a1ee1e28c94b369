//! The application that Pingora's listeners run: the proxy, with a line to every exchange.

use std::{net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{
    Error, ErrorType,
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp},
    listeners::UninitializedStream,
    protocols::l4::socket::SocketAddr,
    protocols::{
        ALPN, SocketDigest, Stream,
        http::{ServerSession, v2::server::H2Options},
    },
    proxy::HttpProxy,
    server::ShutdownWatch,
};
use tokio::{
    io::AsyncWriteExt,
    time::{sleep, timeout},
};
use tracing::debug;

use super::{
    Underway,
    connections::{Connections, OpenConnection},
    downstream::Downstream,
    line::{LINE, Line},
};
use crate::{proxy::edge::Gateway, telemetry::counters::HANDSHAKES_FAILED};

/// The edge as its listeners see it.
pub struct Edge {
    exchanges: Arc<Exchanges>,
    connections: Arc<Connections>,
}

impl Edge {
    /// The edge of this proxy, whose connections are counted in `underway`.
    pub fn new(proxy: HttpProxy<Gateway>, underway: &Underway) -> Self {
        let exchanges = Arc::new(Exchanges { proxy: Arc::new(proxy), connection: None });
        Self { exchanges, connections: Arc::clone(&underway.connections) }
    }

    /// Serves a connection that has its place, from its first byte of HTTP on.
    async fn serve(&self, stream: Stream, line: Arc<Line>, place: OpenConnection, shutdown: &ShutdownWatch) {
        place.await_first_head();
        let exchanges = if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            // From its first request on, idleness is Pingora's to mind.
            Arc::new(Exchanges { proxy: Arc::clone(&self.exchanges.proxy), connection: Some(Arc::clone(&line)) })
        } else {
            Arc::clone(&self.exchanges)
        };
        let stream = Box::new(Downstream::new(stream, Arc::clone(&line), place));
        let _ended = LINE.scope(line, exchanges.process_new(stream, shutdown)).await;
    }
}

#[async_trait]
impl ServerApp for Edge {
    /// A connection counts from here on, so that one whose handshake never ends has a place and a limit of time, too.
    async fn process_accepted(self: &Arc<Self>, accepted: UninitializedStream, shutdown: &ShutdownWatch) {
        let line = Arc::new(Line::default());
        let peer = accepted.peer_addr();
        let Some(place) = self.connections.open(address(peer.as_ref()), &line) else {
            // Over TLS nothing can be said before the handshake, which is not worth its cost.
            if !accepted.is_tls()
                && let Ok(stream) = accepted.handshake().await
            {
                refuse(stream).await;
            }
            return;
        };
        let handshake = tokio::select! {
            biased;
            stream = accepted.handshake() => stream,
            () = line.until_ended() => Error::e_explain(ErrorType::TLSHandshakeTimedout, "the client takes its time"),
        };
        match handshake {
            Ok(stream) => self.serve(stream, line, place, shutdown).await,
            Err(error) => {
                HANDSHAKES_FAILED.count();
                debug!(peer = peer.map(tracing::field::display), %error, "no TLS handshake");
            }
        }
    }

    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let line = Arc::new(Line::default());
        let digest = stream.get_socket_digest();
        match self.connections.open(address(digest.as_deref().and_then(SocketDigest::peer_addr)), &line) {
            Some(place) => self.serve(stream, line, place, shutdown).await,
            None => refuse(stream).await,
        }
        None
    }

    /// Nothing is accepted any more. From here on Pingora closes every connection that waits for a request, also one that
    /// was accepted a moment ago and has its request in flight; so those get their answer first.
    async fn cleanup(&self) {
        sleep(LAST_REQUESTS_COME_WITHIN).await;
        self.exchanges.cleanup().await;
    }
}

/// The address that a connection counts for.
fn address(peer: Option<&SocketAddr>) -> Option<IpAddr> {
    Some(peer?.as_inet()?.ip().to_canonical())
}

/// Says that there are too many connections, as far as the client listens at once.
async fn refuse(mut stream: Stream) {
    let _told_or_not = timeout(LAST_WORDS, async {
        stream.write_all(FULL).await?;
        stream.flush().await
    })
    .await;
    let _closed_or_not = timeout(LAST_WORDS, stream.shutdown()).await;
}

/// How long after its connection a request may come, where the listener has closed behind it.
const LAST_REQUESTS_COME_WITHIN: Duration = Duration::from_secs(1);
const LAST_WORDS: Duration = Duration::from_millis(500);
const FULL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The exchanges of one edge, one after the other on a connection or side by side.
struct Exchanges {
    proxy: Arc<HttpProxy<Gateway>>,
    /// The line of a connection of HTTP/2, whose exchanges have lines of their own.
    connection: Option<Arc<Line>>,
}

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
            return self.proxy.process_new_http(session, shutdown);
        }
        if let Some(connection) = &self.connection {
            connection.awaits_nothing();
        }
        // One stream of a connection can only be dropped, which resets it.
        let line = Arc::new(Line::default());
        let exchange = LINE.scope(Arc::clone(&line), self.proxy.process_new_http(session, shutdown));
        Box::pin(async move {
            tokio::select! {
                biased;
                reusable = exchange => reusable,
                () = line.until_ended() => None,
            }
        })
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.proxy.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        HttpServerApp::server_options(&*self.proxy)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}
