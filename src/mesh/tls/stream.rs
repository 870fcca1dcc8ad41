//! A TLS connection as the pool reads and writes it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::failure::{Failure, Refusal};
use crate::mesh::connect::BoxIo;

/// A connection whose end says why.
///
/// In TLS 1.3 this side is done before the server has looked at its certificate. A refusal comes as an alert where an answer
/// is waited for: it is a failed connection, and nothing that was sent on it was processed.
pub(super) struct Stream {
    io: TlsStream<BoxIo>,
    /// Whether anything came: then it was not refused.
    heard: bool,
    refusal: Refusal,
}

// === impl Stream ===

impl Stream {
    pub(super) fn new(io: TlsStream<BoxIo>) -> (Self, Refusal) {
        let refusal = Refusal::default();
        let stream = Self {
            io,
            heard: false,
            refusal: refusal.clone(),
        };
        (stream, refusal)
    }

    fn failed(&self, error: io::Error) -> io::Error {
        if self.heard {
            return error;
        }
        let Some(failure) = Failure::of_alert(&error) else {
            return error;
        };
        let failure = self.refusal.say(failure);
        io::Error::other(failure.clone().into_error())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.heard |= buf.filled().len() > before;
        read.map_err(|error| self.failed(error))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
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
