//! Callers that send no more: those that have gone, and those that wait for their answer.
//!
//! Both look alike: the end of what they send. An answer is owed to the second kind (RFC 9112 section 9.6); for the first an
//! upstream works in vain, and may do so for money. What tells them apart is a write: the system of one that has gone
//! answers it with a reset, which the write after it is told. So what will be written in any case is written ahead, one byte
//! at a time: an answer's head begins with `HTTP/1.`, and a chunk's size may begin with any number of zeros. Nobody who reads
//! HTTP sees that these bytes came early.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::AsyncWrite;

use super::pulse::{ConnectionTimers, Next};
use crate::base::time::{Instant, Sleep, sleep_until};

/// How every answer's head begins.
const HEAD: &[u8] = b"HTTP/1.";

/// Zeros before one chunk.
const ZEROS: usize = 4;

/// From the first byte ahead to the second; then four times as long each.
const STEP: Duration = Duration::from_millis(15);

/// Between two looks.
const LONGEST: Duration = Duration::from_secs(3600);

/// Watches one connection.
#[derive(Debug, Default)]
pub(super) struct Half {
    /// From the end of what the peer sends.
    timer: Option<Pin<Box<Sleep>>>,
    step: Duration,
    /// The peer has gone.
    gone: bool,
    /// How much of the next head is written.
    ahead: usize,
    /// Zeros written since the last chunk.
    zeros: usize,
    /// There are bytes on their way out: then they tell.
    busy: bool,
}

// === impl Half ===

impl Half {
    /// Whether the peer sends no more.
    pub(super) fn is_begun(&self) -> bool {
        self.timer.is_some()
    }

    /// Whether some of the next head is written.
    pub(super) fn is_ahead(&self) -> bool {
        self.ahead > 0
    }

    /// Ready once the connection is over for the one who reads it: the peer has gone, or is owed nothing. `whole` tells whether
    /// what it sent are whole requests.
    pub(super) fn poll<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        pulse: &ConnectionTimers,
        whole: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| {
            self.step = STEP;
            Box::pin(sleep_until(Instant::now()))
        });
        loop {
            let Some(next) = pulse.owes(whole).filter(|_| !self.gone) else {
                return Poll::Ready(());
            };
            std::task::ready!(timer.as_mut().poll(cx));
            timer.as_mut().reset(Instant::now() + self.step);
            self.step = self.step.saturating_mul(4).min(LONGEST);
            let byte = match next {
                _ if self.busy => None,
                Next::Head => HEAD.get(self.ahead..).and_then(|rest| rest.get(..1)),
                Next::Chunk if self.zeros < ZEROS => Some(&b"0"[..]),
                Next::Chunk | Next::Unknown => None,
            };
            let Some(byte) = byte else { continue };
            match Pin::new(&mut *io).poll_write(cx, byte) {
                Poll::Ready(Ok(0)) | Poll::Pending => {}
                Poll::Ready(Ok(_)) if next == Next::Head => self.ahead += 1,
                Poll::Ready(Ok(_)) => self.zeros += 1,
                Poll::Ready(Err(_)) => self.gone = true,
            }
            // What a TLS session keeps back is as good as not written; whether it went out the next write tells.
            let _ = Pin::new(&mut *io).poll_flush(cx);
        }
    }

    /// What of these bytes is to be written yet.
    ///
    /// # Errors
    /// If they are not what was begun.
    pub(super) fn writes<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        self.busy = true;
        let ahead = HEAD.get(..self.ahead).unwrap_or_default();
        bytes
            .strip_prefix(ahead)
            .ok_or_else(|| io::Error::other("an answer that does not begin as it should"))
    }

    /// Something was written.
    pub(super) fn wrote(&mut self) {
        (self.ahead, self.zeros) = (0, 0);
    }

    /// All was written.
    pub(super) fn flushed(&mut self) {
        self.busy = false;
    }
}
