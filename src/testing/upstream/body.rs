//! The response body that plays a script: chunks with waits between them, and an ending.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
    vec,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::usage::Meter;
use crate::base::time::{Instant, Sleep, sleep_until};

/// A response body.
pub(super) enum ReplyBody {
    Whole(Option<Bytes>),
    Played(Box<Played>),
}

/// A chunk of a stream.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Tokens of content in it; the chunk delays are about pieces that have some.
    pub(super) tokens: usize,
    /// A wait before it, beside those.
    pub(super) wait: Duration,
}

/// Chunks, then an ending.
pub(super) struct Played {
    pieces: vec::IntoIter<Piece>,
    ending: Ending,
    pace: Pace,
    meter: Option<Meter>,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Until when the next piece waits; the inner `None` is for ever.
    until: Option<Option<Instant>>,
    /// The sleep is for a ping.
    pinging: bool,
    waited: bool,
    over: bool,
}

/// How fast a body is played.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// Before the first content piece.
    pub(super) first: Duration,
    /// Before each of the others.
    pub(super) wait: Duration,
    /// What is sent how often while a piece waits.
    pub(super) ping: Option<(Duration, Bytes)>,
}

/// How a played body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// As it should.
    Clean,
    /// The connection (HTTP/2: the stream) breaks.
    Cut,
    /// Nothing more comes.
    Stall,
}

/// A fault was asked for: the connection must break.
#[derive(Debug)]
pub(super) struct Aborted;

/// Between the last chunk and a cut: so long the server has to write what it holds, which an error would discard.
const FLUSH: Duration = Duration::from_millis(10);

// === impl ReplyBody ===

impl ReplyBody {
    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Some(bytes.into()))
    }

    /// Plays `pieces`; their tokens are counted by `meter` as they go out.
    pub(super) fn played(
        pieces: Vec<Piece>,
        pace: Pace,
        ending: Ending,
        meter: Option<Meter>,
    ) -> Self {
        Self::Played(Box::new(Played {
            pieces: pieces.into_iter(),
            ending,
            pace,
            meter,
            sleep: None,
            until: None,
            pinging: false,
            waited: false,
            over: false,
        }))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Played(played) => played.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Played(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Played(_) => SizeHint::default(),
        }
    }
}

// === impl Played ===

impl Played {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
                match (self.pinging, &self.pace.ping) {
                    (true, Some((_, ping))) => {
                        let frame = Frame::data(ping.clone());
                        self.pinging = false;
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    _ => self.waited = true,
                }
            }
            if !self.waited && self.must_wait() {
                if self.sleep.is_none() {
                    // No waker: the server drops the body when the connection ends.
                    return Poll::Pending;
                }
                continue;
            }
            (self.waited, self.until) = (false, None);
            return Poll::Ready(self.next());
        }
    }

    /// Whether the next piece waits. Sets the sleep, unless the wait is for ever and nothing is sent meanwhile.
    fn must_wait(&mut self) -> bool {
        let until = match self.until {
            Some(until) => until,
            None => {
                let until = match self.wait() {
                    Some(wait) if wait.is_zero() => return false,
                    wait => wait.map(|wait| Instant::now() + wait),
                };
                self.until = Some(until);
                until
            }
        };
        let flushing = self.pieces.as_slice().is_empty() && self.ending == Ending::Cut;
        let ping = self.pace.ping.as_ref().filter(|_| !flushing);
        let ping = ping.map(|(every, _)| Instant::now() + *every);
        let (at, pinging) = match (until, ping) {
            (None, None) => return true,
            (Some(until), Some(ping)) if ping < until => (ping, true),
            (None, Some(ping)) => (ping, true),
            (Some(until), _) => (until, false),
        };
        self.sleep = Some(Box::pin(sleep_until(at)));
        self.pinging = pinging;
        true
    }

    /// How long the next piece waits, or `None` for ever.
    fn wait(&self) -> Option<Duration> {
        match (self.pieces.as_slice().first(), self.ending) {
            (Some(piece), _) if piece.tokens > 0 => Some(self.pace.first + piece.wait),
            (Some(piece), _) => Some(piece.wait),
            (None, Ending::Cut) => Some(FLUSH),
            (None, Ending::Stall) => None,
            (None, Ending::Clean) => Some(Duration::ZERO),
        }
    }

    fn next(&mut self) -> Option<Result<Frame<Bytes>, Aborted>> {
        match self.pieces.next() {
            Some(piece) => {
                if piece.tokens > 0 {
                    self.pace.first = self.pace.wait;
                    if let Some(meter) = &self.meter {
                        meter.tokens(piece.tokens);
                    }
                }
                Some(Ok(Frame::data(piece.bytes)))
            }
            None => {
                self.over = true;
                (self.ending == Ending::Cut).then_some(Err(Aborted))
            }
        }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        if let Some(meter) = self.meter.as_ref().filter(|_| !self.over) {
            meter.hung_up();
        }
    }
}

// === impl Aborted ===

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Aborted {}
