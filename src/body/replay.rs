//! A request body that can be sent again.
//!
//! A retry needs the body a second time, but most requests are sent once, so nothing is read ahead: the first reader
//! streams the inner body and leaves a copy of each frame (shared bytes, not a second allocation) behind. A clone
//! replays what was left and, if the first reader stopped early, goes on with the rest of the inner body.
//!
//! The copy is capped in bytes. At the cap it is thrown away: the reader at work streams on undisturbed, and the body
//! cannot be sent again. A body that says at creation that it is larger is never copied.
//!
//! Bytes that are known at once ([`Full`], [`Body`](crate::body::Body)) need none of this: each clone has them.
//!
//! One clone reads at a time: the one that began to read last. An earlier reader that is still about (a transport may
//! hold an abandoned request a little longer) gets an error and never steals frames or wake-ups.

use std::{
    any::Any,
    fmt, mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Extensions, HeaderMap};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;

use self::buffer::Buffer;
use self::lag::Lag;
use crate::base::{BoxError, Error, Kind, error};

mod buffer;
mod lag;

/// How many bytes are kept if nobody says otherwise (Envoy's default per-request retry buffer).
pub const DEFAULT_CAP: usize = 1024 * 1024;

/// A lazily buffered, byte-capped, cloneable body.
///
/// # Cancel safety
/// Dropping a clone at any point loses nothing: the next one begins at the first byte again.
pub struct Replay<B> {
    source: Source<B>,
    /// Order in which readers began; 0 until the first poll.
    ticket: u64,
    /// Bytes handed out by this reader.
    at: u64,
    done: bool,
    lag: Option<Box<Lag>>,
}

enum Source<B> {
    /// The body was over at creation.
    Empty,
    /// All of it in one frame, and whether it is over the cap.
    Known(Bytes, bool),
    Streamed(Arc<Mutex<State<B>>>),
}

struct State<B> {
    /// Boxed, because it moves from reader to reader and need not be `Unpin`. `None` once it is over.
    inner: Option<Pin<Box<B>>>,
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

// === impl Replay ===

impl<B> Replay<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    /// Makes `body` repeatable as long as it has at most `cap` bytes.
    ///
    /// Reads nothing. A body that is over already costs no allocation.
    pub fn new(mut body: B, cap: usize) -> Self
    where
        B: 'static,
    {
        if body.is_end_stream() {
            return Self::of(Source::Empty);
        }
        if let Some(bytes) = known(&mut body) {
            let capped = bytes.len() > cap;
            return Self::of(Source::Known(bytes, capped));
        }
        let fits = body.size_hint().lower() <= cap as u64;
        Self::of(Source::Streamed(Arc::new(Mutex::new(State {
            buffer: fits.then(Buffer::default),
            inner: Some(Box::pin(body)),
            cap,
            trailers: None,
            seen: 0,
            failed: None,
            readers: 0,
            waker: None,
        }))))
    }
}

impl<B> Replay<B> {
    const fn of(source: Source<B>) -> Self {
        Self {
            source,
            ticket: 0,
            at: 0,
            done: false,
            lag: None,
        }
    }

    /// Notes for the attempt with these extensions whether this reader waits for the caller. Clones note nothing.
    #[must_use]
    pub fn watched(mut self, attempt: &Extensions) -> Self {
        if matches!(self.source, Source::Streamed(_)) {
            self.lag = Lag::of(attempt).map(Box::new);
        }
        self
    }

    /// Takes it, and leaves nothing.
    #[must_use]
    pub(crate) fn take(&mut self) -> Self {
        mem::replace(self, Self::of(Source::Empty))
    }

    /// Whether a clone that begins to read now can give the whole body.
    ///
    /// `false` once over the cap, once the inner body failed, and from the start for a body known to be too large
    /// (such a body can still be read once).
    #[must_use]
    pub fn can_replay(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Known(_, capped) => !capped,
            Source::Streamed(shared) => {
                let state = lock(shared);
                state.buffer.is_some() && state.failed.is_none()
            }
        }
    }

    /// Whether the body is, or is known to be, over the cap.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        match &self.source {
            Source::Empty => false,
            Source::Known(_, capped) => *capped,
            Source::Streamed(shared) => lock(shared).buffer.is_none(),
        }
    }
}

impl<B> Clone for Replay<B> {
    /// Another reader, which begins at the first byte.
    fn clone(&self) -> Self {
        Self::of(match &self.source {
            Source::Empty => Source::Empty,
            Source::Known(bytes, capped) => Source::Known(bytes.clone(), *capped),
            Source::Streamed(shared) => Source::Streamed(Arc::clone(shared)),
        })
    }
}

impl<B> Body for Replay<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    /// # Errors
    /// Those of the inner body. [`Kind::BodyTooLarge`] if bytes this reader needs are over the cap and gone;
    /// [`Kind::Canceled`] if a later clone reads now; the kind of the inner body's failure ([`Kind::Canceled`] if it
    /// has none) if that happened to an earlier reader.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let shared = match &this.source {
            Source::Known(bytes, _) if !this.done => {
                this.done = true;
                return Poll::Ready(Some(Ok(Frame::data(bytes.clone()))));
            }
            Source::Streamed(shared) if !this.done => shared,
            _ => return Poll::Ready(None),
        };
        let mut state = lock(shared);
        let mut superseded = None;
        let polled = match state.admit(&mut this.ticket, &mut superseded) {
            Ok(()) => state.poll_at(&mut this.at, cx),
            Err(kind) => Poll::Ready(Some(Err(lost(kind)))),
        };
        drop(state);
        if let Some(waker) = superseded {
            waker.wake();
        }
        if let Some(lag) = &mut this.lag {
            lag.note(polled.is_pending());
        }
        this.done = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(_) => true,
            Poll::Pending => false,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        let shared = match &self.source {
            Source::Streamed(shared) if !self.done => shared,
            Source::Known(..) => return self.done,
            _ => return true,
        };
        let state = lock(shared);
        state.failed.is_none()
            && state.trailers.is_none()
            && self.at == state.seen
            && state.inner.as_ref().is_none_or(|b| b.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let shared = match &self.source {
            Source::Streamed(shared) if !self.done => shared,
            Source::Known(bytes, _) if !self.done => {
                return SizeHint::with_exact(bytes.len() as u64);
            }
            _ => return SizeHint::with_exact(0),
        };
        let state = lock(shared);
        let rest = state
            .inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |b| b.size_hint());
        let kept = state.seen.saturating_sub(self.at);
        let mut hint = SizeHint::new();
        hint.set_lower(kept.saturating_add(rest.lower()));
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept.saturating_add(upper));
        }
        hint
    }
}

impl<B> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("empty", &matches!(self.source, Source::Empty))
            .field("capped", &self.is_capped())
            .field("at", &self.at)
            .finish()
    }
}

// === impl State ===

impl<B> State<B> {
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

impl<B> State<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
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
        let Poll::Ready(frame) = inner.as_mut().poll_frame(cx) else {
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
                let error = error.into();
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

/// The bytes of a body that has them all in one frame.
fn known<B: 'static>(body: &mut B) -> Option<Bytes> {
    let body: &mut dyn Any = body;
    if let Some(full) = body.downcast_mut::<Full<Bytes>>() {
        let frame = Pin::new(full).poll_frame(&mut Context::from_waker(Waker::noop()));
        return match frame {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
            _ => None,
        };
    }
    let erased = body.downcast_mut::<crate::body::Body>()?;
    erased.take_bytes()
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
