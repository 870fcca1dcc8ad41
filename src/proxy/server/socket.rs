//! A caller's socket, between hyper and the network.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{frames::Frames, half::Half, pulse::ConnectionTimers};
use crate::base::time::{Sleep, sleep};

/// Bytes that an HTTP/2 connection reads in a turn.
const PORTION: usize = 4096;

/// The first byte of a TLS connection (RFC 8446 section 5.1), with which no request begins.
const TLS_HANDSHAKE: u8 = 22;

/// How long a connection is still read when all is said to a caller that goes on sending.
const LINGER: Duration = Duration::from_secs(1);

/// A socket whose bytes are noted.
///
/// On HTTP/2 it is read in small portions, with a turn for everybody else in between: the codec decodes all heads that it
/// can read before the first of them is served or refused, and a head of one-byte fields grows a hundredfold.
///
/// On HTTP/1 the frames of requests are followed, and what hyper would not refuse of them is refused here. And where the rest
/// of a request was given up, the socket is not closed over it: what its kernel has not read makes it send a reset, which can
/// cost the caller the answer (RFC 9112 section 9.6). A peer that sends no more while it is owed an answer is told apart from
/// one that has gone, see [`Half`].
pub(super) struct Socket<I> {
    io: I,
    pulse: ConnectionTimers,
    frames: Frames,
    begun: bool,
    http2: bool,
    /// A portion was read in this turn.
    had: bool,
    /// What came is no HTTP.
    broken: bool,
    /// The peer sends no more, and is owed an answer.
    half: Half,
    /// Nothing more is written; until then it is read.
    linger: Option<Pin<Box<Sleep>>>,
}

// === impl Socket ===

impl<I> Socket<I> {
    pub(super) fn new(io: I, pulse: ConnectionTimers) -> Self {
        Self {
            io,
            pulse,
            frames: Frames::default(),
            begun: false,
            http2: false,
            had: false,
            broken: false,
            half: Half::default(),
            linger: None,
        }
    }

    /// Takes what must not be read off the end of `buf`, of which the bytes from `before` on are new.
    fn check(&mut self, buf: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let came = buf.filled().get(before..).unwrap_or_default();
        let framed = self.frames.follow(came);
        if let Some(head) = self.frames.framed_twice() {
            self.pulse.note_framed_twice(head);
        }
        let Err(good) = framed else { return Ok(()) };
        self.broken = true;
        buf.set_filled(before + good);
        if good == 0 { Err(no_http()) } else { Ok(()) }
    }
}

impl<I: AsyncRead + Unpin> Socket<I> {
    /// Reads a portion, or yields if one was just read.
    fn poll_portion(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.had {
            self.had = false;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let size = buf.remaining().min(PORTION);
        let mut portion = ReadBuf::new(buf.initialize_unfilled_to(size));
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut portion))?;
        let came = portion.filled().len();
        buf.advance(came);
        self.had = came > 0;
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + Unpin> Socket<I> {
    /// Reads what comes and forgets it, until nothing more can come or time is up.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let mut space = [0; PORTION];
            let mut buf = ReadBuf::new(&mut space);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
            if read.is_err() || buf.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> Socket<I> {
    /// Waits for the end of the connection of a peer that sends no more.
    fn poll_half(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let whole = self.frames.is_whole();
        self.half.poll(&mut self.io, &self.pulse, whole, cx).map(Ok)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.as_mut().get_mut();
        if this.broken {
            return Poll::Ready(Err(no_http()));
        }
        if this.pulse.has_switched() {
            return Pin::new(&mut this.io).poll_read(cx, buf);
        }
        let before = buf.filled().len();
        if this.http2 {
            ready!(this.poll_portion(cx, buf))?;
        } else if this.half.is_begun() {
            return this.poll_half(cx);
        } else {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        }
        let came = buf.filled().get(before..).unwrap_or_default();
        if !this.begun && !came.is_empty() {
            this.begun = true;
            if came.starts_with(&[TLS_HANDSHAKE]) {
                this.pulse.note_tls();
            }
        }
        this.http2 = this.pulse.read(came);
        if !this.http2 {
            let ended = buf.filled().len() == before && buf.remaining() > 0;
            if ended && this.pulse.owes(this.frames.is_whole()).is_some() {
                return this.poll_half(cx);
            }
            this.check(buf, before)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.as_mut().get_mut();
        let rest = this.half.writes(buf)?;
        let sent = buf.len() - rest.len();
        if sent > 0 && rest.is_empty() {
            this.half.wrote();
            return Poll::Ready(Ok(sent));
        }
        let written = Pin::new(&mut this.io).poll_write(cx, rest);
        this.pulse.wrote(&written);
        let written = ready!(written)?;
        this.half.wrote();
        Poll::Ready(Ok(sent + written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.half.is_ahead() {
            // The head stands in the first of them.
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| &**buf));
        }
        // For what is written now there is nothing to be left out.
        self.half.writes(&[])?;
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.half.wrote();
        self.pulse.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.half.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        if !self.http2 && self.pulse.is_unread() {
            ready!(self.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

// === free functions ===

/// The kind by which a request's body tells that its caller is at fault.
fn no_http() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "a control character behind the size of a chunk",
    )
}
