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

use crate::base::time::{Sleep, sleep};

/// A response body.
pub(super) enum ReplyBody {
    Whole(Option<Bytes>),
    Played(Box<Played>),
}

/// A chunk of a stream. `token` marks content, which the chunk delays are about.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    pub(super) token: bool,
}

/// Chunks, then an ending.
pub(super) struct Played {
    pieces: vec::IntoIter<Piece>,
    ending: Ending,
    first_wait: Duration,
    wait: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    waited: bool,
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

    /// Plays `pieces` with `wait` before each content piece, `first_wait` before the first of them.
    pub(super) fn played(
        pieces: Vec<Piece>,
        first_wait: Duration,
        wait: Duration,
        ending: Ending,
    ) -> Self {
        Self::Played(Box::new(Played {
            pieces: pieces.into_iter(),
            ending,
            first_wait,
            wait,
            sleep: None,
            waited: false,
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
                self.waited = true;
            }
            let wait = match (self.pieces.as_slice().first(), self.ending) {
                (Some(piece), _) if piece.token => self.first_wait,
                (None, Ending::Cut) => FLUSH,
                // No waker: the server drops the body when the connection ends.
                (None, Ending::Stall) => return Poll::Pending,
                _ => Duration::ZERO,
            };
            if !self.waited && !wait.is_zero() {
                self.sleep = Some(Box::pin(sleep(wait)));
                continue;
            }
            self.waited = false;
            return Poll::Ready(match self.pieces.next() {
                Some(piece) => {
                    if piece.token {
                        self.first_wait = self.wait;
                    }
                    Some(Ok(Frame::data(piece.bytes)))
                }
                None if self.ending == Ending::Cut => Some(Err(Aborted)),
                None => None,
            });
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
