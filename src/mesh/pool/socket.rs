//! A dialled connection that counts its bytes and tells the book when it is really closed.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::endpoint::Endpoint;
use crate::mesh::connect::BoxIo;

/// A connection's place under the ceiling: taken before the dial, given back when the socket is closed.
pub(super) struct Place {
    endpoint: Arc<Endpoint>,
    counted: bool,
}

/// The socket of a connection, with its place.
pub(super) struct Socket {
    io: BoxIo,
    place: Place,
}

// === impl Place ===

impl Place {
    /// A place that the cluster's book has allotted.
    pub(super) fn allotted(endpoint: Arc<Endpoint>) -> Self {
        Self::new(endpoint, true)
    }

    /// A place under no ceiling.
    pub(super) fn free(endpoint: Arc<Endpoint>) -> Self {
        Self::new(endpoint, false)
    }

    fn new(endpoint: Arc<Endpoint>, counted: bool) -> Self {
        let stats = endpoint.limits().stats();
        stats.cx_total.inc();
        stats.cx_active.inc();
        Self { endpoint, counted }
    }

    pub(super) fn socket(self, io: BoxIo) -> Socket {
        Socket { io, place: self }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stats = self.endpoint.limits().stats();
        stats.cx_active.dec();
        stats.cx_destroy.inc();
        if self.counted {
            self.endpoint.closed();
        }
    }
}

// === impl Socket ===

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = buf.filled().len().saturating_sub(before);
        let stats = self.place.endpoint.limits().stats();
        stats.cx_rx_bytes.add(read as u64);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        let stats = self.place.endpoint.limits().stats();
        stats.cx_tx_bytes.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, bufs))?;
        let stats = self.place.endpoint.limits().stats();
        stats.cx_tx_bytes.add(written as u64);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
