//! A client's connection, which its line can end while Pingora waits on it.
//!
//! Pingora watches an HTTP/1 connection for the client's leaving as long as an exchange is under way. To end one from
//! outside, that watch is told that the client left; before, an answer in chunks is given its end, so that the client sees
//! a stream that ended and not one that broke. Pingora never watches while it writes, so nothing is cut in the middle.
//!
//! The other way round, an exchange that does not need its client any more is not told that it left: reading waits, and
//! what is written is forgotten once it does not arrive. A client that only said its last word still gets its answer.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use pingora::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    connections::OpenConnection,
    line::{End, Line},
};

/// A connection of a client.
pub(super) struct Downstream {
    inner: Stream,
    line: Arc<Line>,
    /// Whether the client has left, or says at least nothing more.
    left: bool,
    _place: OpenConnection,
}

impl Downstream {
    pub(super) const fn new(inner: Stream, line: Arc<Line>, place: OpenConnection) -> Self {
        Self { inner, line, left: false, _place: place }
    }

    /// Writes the end of an answer in chunks (RFC 9112 section 7.1), as far as the connection takes it at once.
    fn finish_chunks(&mut self, context: &mut Context<'_>) {
        // What the upstream left unfinished must not look complete.
        if !matches!(self.line.ended(), Some(End::Silent | End::Unheard)) && self.line.take_unfinished_chunks() {
            let _as_far_as_it_goes = Pin::new(&mut self.inner).poll_write(context, b"0\r\n\r\n");
            let _as_far_as_it_goes = Pin::new(&mut self.inner).poll_flush(context);
        }
    }
}

impl AsyncRead for Downstream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.line.ended().is_none() {
            if !self.left {
                let before = into.filled().len();
                let read = Pin::new(&mut self.inner).poll_read(context, into);
                self.left = match &read {
                    Poll::Ready(Ok(())) => into.filled().len() == before,
                    Poll::Ready(Err(_)) => true,
                    Poll::Pending => false,
                };
                if read.is_ready() {
                    self.line.hears_client();
                }
                if read.is_ready() && !(self.left && self.line.goes_on_alone()) {
                    return read;
                }
            } else if !self.line.goes_on_alone() {
                return Poll::Ready(Ok(()));
            }
            if !self.line.poll_ended(context) {
                return Poll::Pending;
            }
        }
        self.finish_chunks(context);
        Poll::Ready(Ok(()))
    }
}

/// What is written to a client that has left an exchange is forgotten, if the exchange goes on without it.
fn or_forgotten<T>(written: Poll<io::Result<T>>, line: &Line, all: T) -> Poll<io::Result<T>> {
    match written {
        Poll::Ready(Err(_)) if line.goes_on_alone() => Poll::Ready(Ok(all)),
        other => other,
    }
}

impl AsyncWrite for Downstream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, from);
        or_forgotten(written, &self.line, from.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(context);
        or_forgotten(flushed, &self.line, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, from);
        or_forgotten(written, &self.line, from.iter().map(|part| part.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Downstream {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for Downstream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Downstream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Downstream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Downstream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Downstream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[async_trait]
impl Peek for Downstream {
    async fn try_peek(&mut self, into: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(into).await
    }
}

impl fmt::Debug for Downstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downstream").field("inner", &self.inner).finish_non_exhaustive()
    }
}
