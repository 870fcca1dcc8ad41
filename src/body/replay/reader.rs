//! One reader of a streamed body, and what the readers share.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use super::{buffer::Buffer, lag::Lag};
use crate::base::{BoxError, Error, Kind, error};

/// A reader.
pub(super) struct Reader {
    state: Arc<Mutex<State>>,
    /// Order in which readers began; 0 until the first poll.
    ticket: u64,
    /// Bytes handed out by this reader.
    at: u64,
    done: bool,
    pub(super) lag: Option<Lag>,
}

struct State {
    /// Moves from reader to reader. `None` once it is over.
    inner: Option<UnsyncBoxBody<Bytes, BoxError>>,
    /// `None` once over the cap.
    buffer: Option<Buffer>,
    cap: usize,
    trailers: Option<HeaderMap>,
    /// Bytes that came out of `inner`.
    seen: u64,
    failed: Option<Kind>,
    /// The ticket of the reader that began last.
    readers: u64,
    /// That reader's waker, so that it learns when a later one takes over.
    waker: Option<Waker>,
}

// === impl Reader ===

impl Reader {
    /// Over a body of which nothing is kept.
    pub(super) fn new(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        let fits = body.size_hint().lower() == 0;
        Self::at_begin(Arc::new(Mutex::new(State {
            buffer: fits.then(Buffer::default),
            inner: Some(body),
            cap: 0,
            trailers: None,
            seen: 0,
            failed: None,
            readers: 0,
            waker: None,
        })))
    }

    fn at_begin(state: Arc<Mutex<State>>) -> Self {
        Self {
            state,
            ticket: 0,
            at: 0,
            done: false,
            lag: None,
        }
    }

    /// Keeps up to `cap` bytes, if nothing came yet and less is kept so far.
    pub(super) fn keep(&mut self, cap: usize) {
        let mut state = lock(&self.state);
        let Some(inner) = state.inner.as_ref().filter(|_| state.seen == 0) else {
            return;
        };
        let fits = inner.size_hint().lower() <= cap as u64;
        if cap > state.cap {
            state.cap = cap;
            state.buffer = fits.then(Buffer::default);
        }
    }

    /// Whether this reader has read.
    pub(super) const fn has_begun(&self) -> bool {
        self.ticket != 0
    }

    pub(super) fn can_replay(&self) -> bool {
        let state = lock(&self.state);
        state.buffer.is_some() && state.failed.is_none()
    }

    pub(super) fn is_capped(&self) -> bool {
        lock(&self.state).buffer.is_none()
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.done {
            return Poll::Ready(None);
        }
        let mut state = lock(&self.state);
        let mut superseded = None;
        let polled = match state.admit(&mut self.ticket, &mut superseded) {
            Ok(()) => state.poll_at(&mut self.at, cx),
            Err(kind) => Poll::Ready(Some(Err(lost(kind)))),
        };
        drop(state);
        if let Some(waker) = superseded {
            waker.wake();
        }
        if let Some(lag) = &mut self.lag {
            lag.note(polled.is_pending());
        }
        self.done = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(_) => true,
            Poll::Pending => false,
        };
        polled
    }

    pub(super) fn is_end_stream(&self) -> bool {
        if self.done {
            return true;
        }
        let state = lock(&self.state);
        state.failed.is_none()
            && state.trailers.is_none()
            && self.at == state.seen
            && state.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        if self.done {
            return SizeHint::with_exact(0);
        }
        let state = lock(&self.state);
        let inner = state.inner.as_ref();
        let rest = inner.map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        let kept = state.seen.saturating_sub(self.at);
        let mut hint = SizeHint::new();
        hint.set_lower(kept.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept.saturating_add(upper));
        }
        hint
    }
}

impl Clone for Reader {
    /// Another reader, which begins at the first byte.
    fn clone(&self) -> Self {
        Self::at_begin(Arc::clone(&self.state))
    }
}

// === impl State ===

impl State {
    /// Lets a reader read, or says why it cannot. A new reader takes over from the one before.
    fn admit(&mut self, ticket: &mut u64, superseded: &mut Option<Waker>) -> Result<(), Kind> {
        if *ticket == 0 {
            if self.buffer.is_none() && self.seen > 0 {
                return Err(Kind::BodyTooLarge);
            }
            self.readers += 1;
            *ticket = self.readers;
            *superseded = self.waker.take();
        }
        if *ticket == self.readers {
            Ok(())
        } else {
            Err(Kind::Canceled)
        }
    }
}

impl State {
    fn poll_at(
        &mut self,
        at: &mut u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(chunk) = self.buffer.as_ref().and_then(|b| b.get(*at)) {
            *at += chunk.len() as u64;
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        let Some(inner) = self.inner.as_mut() else {
            return Poll::Ready(match (self.failed, &self.trailers) {
                (Some(kind), _) => Some(Err(lost(kind))),
                (None, Some(trailers)) => Some(Ok(Frame::trailers(trailers.clone()))),
                (None, None) => None,
            });
        };
        let Poll::Ready(frame) = Pin::new(&mut *inner).poll_frame(cx) else {
            match &mut self.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        };
        let over = inner.is_end_stream();
        match frame {
            Some(Ok(frame)) => {
                if over || frame.is_trailers() {
                    self.inner = None;
                }
                if let Some(chunk) = frame.data_ref() {
                    self.seen += chunk.len() as u64;
                    *at = self.seen;
                    self.keep(chunk);
                } else {
                    self.trailers = frame.trailers_ref().cloned();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.inner = None;
                self.failed = Some(error::find(&*error).map_or(Kind::Canceled, Error::kind));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                self.inner = None;
                Poll::Ready(None)
            }
        }
    }

    fn keep(&mut self, chunk: &Bytes) {
        if self.seen > self.cap as u64 {
            self.buffer = None;
        } else if let Some(buffer) = &mut self.buffer {
            buffer.push(chunk.clone());
        }
    }
}

fn lost(kind: Kind) -> BoxError {
    Error::new(kind)
        .with_detail(match kind {
            Kind::BodyTooLarge => "the request body is over the replay buffer",
            Kind::Canceled => "the request body is read by a later attempt or broke off",
            _ => "the request body failed in an earlier attempt",
        })
        .into()
}

/// A panic while the lock was held came from the inner body, which then is not polled into a worse state than it left.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
