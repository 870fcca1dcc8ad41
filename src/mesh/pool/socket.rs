//! A dialled connection that counts its bytes and tells the book when it is really closed.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stats::PoolStats;
use crate::mesh::connect::BoxIo;

/// Whose connections they are.
pub(super) trait Owner: Send + Sync {
    fn stats(&self) -> &PoolStats;
    /// A place under the ceiling is free.
    fn closed(&self);
}

/// A connection's place under the ceiling: taken before the dial, given back when the socket is closed.
pub(super) struct Place {
    owner: Arc<dyn Owner>,
    counted: bool,
}

/// Bytes that came on a connection so far. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<HeardOf>);

#[derive(Default)]
struct HeardOf {
    bytes: AtomicU64,
    tls: AtomicBool,
}

/// The socket of a connection, with its place.
///
/// A peer that refuses a long request at its head answers, and closes: writing then fails while the answer waits to be read,
/// and hyper gives up at the first failure. So a failed write is none yet. It waits until reading has come to its end, which
/// such a connection does by itself.
pub(super) struct Socket {
    io: BoxIo,
    place: Place,
    heard: Heard,
    /// Nothing more can be written.
    deaf: bool,
    /// Nothing more can be read.
    over: bool,
}

// === impl Place ===

impl Place {
    /// A place that the cluster's book has allotted.
    pub(super) fn allotted(owner: Arc<dyn Owner>) -> Self {
        Self::new(owner, true)
    }

    /// A place under no ceiling.
    pub(super) fn free(owner: Arc<dyn Owner>) -> Self {
        Self::new(owner, false)
    }

    fn new(owner: Arc<dyn Owner>, counted: bool) -> Self {
        let stats = owner.stats();
        stats.cx_total.inc();
        stats.cx_active.inc();
        Self { owner, counted }
    }

    /// Under the ceiling from now on, if the book has room for it.
    pub(super) fn count(&mut self, allotted: bool) {
        self.counted = allotted;
    }

    /// Gives the place under the ceiling back, and stays open.
    pub(super) fn uncount(&mut self) {
        if std::mem::take(&mut self.counted) {
            self.owner.closed();
        }
    }

    pub(super) fn socket(self, io: BoxIo) -> Socket {
        Socket {
            io,
            place: self,
            heard: Heard::default(),
            deaf: false,
            over: false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stats = self.owner.stats();
        stats.cx_active.dec();
        stats.cx_destroy.inc();
        if self.counted {
            self.owner.closed();
        }
    }
}

// === impl Heard ===

impl Heard {
    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether what came is a record of TLS, on a connection in plain text.
    pub(super) fn is_tls(&self) -> bool {
        self.0.tls.load(Ordering::Relaxed)
    }

    fn more(&self, bytes: &[u8]) {
        let before = self
            .0
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        // An alert or a handshake message, of any version.
        if before == 0 && matches!(bytes, [0x15 | 0x16, 3, 0..=4, ..]) {
            self.0.tls.store(true, Ordering::Relaxed);
        }
    }
}

// === impl Socket ===

impl Socket {
    /// Counts what comes.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    /// What came of a write. One that failed is kept back as long as there may be something to read.
    fn wrote(
        &mut self,
        cx: &Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = self.kept_back(cx, written);
        if let Poll::Ready(Ok(n)) = written {
            let stats = self.place.owner.stats();
            stats.cx_tx_bytes.add(n as u64);
        }
        written
    }

    fn kept_back<T>(&mut self, cx: &Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match done {
            Poll::Ready(Err(error)) if !self.over => {
                tracing::debug!(%error, "the peer reads no more");
                self.deaf = true;
                // Who writes may not have seen yet that there is something to read.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            done => done,
        }
    }

    /// The answer to whoever writes although nothing can be written.
    fn refuse<T>(&self) -> Poll<io::Result<T>> {
        if self.over {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // Woken by what is read: hyper polls both.
        Poll::Pending
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        let read = buf.filled().len().saturating_sub(before);
        self.over |= result.is_err() || (read == 0 && buf.remaining() > 0);
        let stats = self.place.owner.stats();
        stats.cx_rx_bytes.add(read as u64);
        self.heard.more(&buf.filled()[before..]);
        Poll::Ready(result)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return self.refuse();
        }
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.deaf {
            return self.refuse();
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.deaf {
            return self.refuse();
        }
        // What was taken to be written may fail only now.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.kept_back(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
