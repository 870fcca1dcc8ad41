//! Holds back the first frames of a response until somebody has decided.
//!
//! An LLM upstream may send a 200 and the error as the first event of the stream. As long as a retry is possible, the
//! frames that could show it are kept here: if the verdict is "failed", they are dropped and the caller never saw them;
//! if not, they go out first and the rest streams on. Memory is bounded: at the limit the verdict is "no verdict".
//!
//! White space before the first other byte is what servers send to keep a connection alive while they work. Who waits for
//! what it ends with is [patient](Peek::patient): such blanks have a limit of their own, four times the other.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

/// How many bytes are held back if nobody says otherwise.
pub const DEFAULT_LIMIT: usize = 64 * 1024;

/// How many frames are held back, however small.
pub const MAX_FRAMES: usize = 1024;

/// Reads frames of a body and keeps them.
pub struct Peek<B: Body> {
    held: Held<B>,
    bytes: usize,
    limit: usize,
    /// Bytes of white space before the first other byte, if they are counted apart.
    blank: usize,
    patient: bool,
    /// Whether a byte other than white space came.
    meaning: bool,
}

/// Why [`Peek`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped<T> {
    /// The callback broke with this value.
    Decided(T),
    /// The limit on bytes or frames is reached. The frame that reached it was shown and is held.
    Full,
    /// The body is over: all frames, and the trailers if any, were shown.
    Ended,
    /// The body failed; see [`Peek::error`].
    Failed,
}

/// A body that yields held frames first, then the rest: frames, trailers, end and error as they came.
#[pin_project]
pub struct Held<B: Body> {
    frames: VecDeque<Frame<Bytes>>,
    /// Data bytes in `frames`.
    bytes: u64,
    error: Option<B::Error>,
    #[pin]
    rest: Rest<B>,
}

#[pin_project(project = RestProj)]
enum Rest<B> {
    /// Never peeked at: no allocation.
    Inline(#[pin] B),
    /// Boxed, because it was polled before it moved here and need not be `Unpin`.
    Boxed(Pin<Box<B>>),
    Over,
}

// === impl Peek ===

impl<B: Body<Data = Bytes>> Peek<B> {
    /// Peeks at `body`, up to [`DEFAULT_LIMIT`].
    pub fn new(body: B) -> Self {
        Self::with_limit(body, DEFAULT_LIMIT)
    }

    /// Peeks at `body`, up to `limit` bytes. The last frame held may go over it.
    pub fn with_limit(body: B, limit: usize) -> Self {
        Self {
            held: Held {
                frames: VecDeque::new(),
                bytes: 0,
                error: None,
                rest: if body.is_end_stream() {
                    Rest::Over
                } else {
                    Rest::Boxed(Box::pin(body))
                },
            },
            bytes: 0,
            limit,
            blank: 0,
            patient: false,
            meaning: false,
        }
    }

    /// Waits through blanks: white space at the beginning counts to a limit of its own, four times that on other bytes, and
    /// many small frames are joined where they would be too many.
    #[must_use]
    pub const fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// Reads until `decide` breaks, the limit is reached or the body is over. Each frame is shown once, over all calls.
    ///
    /// # Cancel safety
    /// May be dropped and called again: frames read so far are held.
    pub async fn until<T>(
        &mut self,
        mut decide: impl FnMut(&Frame<Bytes>) -> ControlFlow<T>,
    ) -> Stopped<T> {
        poll_fn(|cx| self.poll_until(cx, &mut decide)).await
    }

    /// As [`until`](Self::until), for futures written by hand.
    pub fn poll_until<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut decide: impl FnMut(&Frame<Bytes>) -> ControlFlow<T>,
    ) -> Poll<Stopped<T>> {
        loop {
            if self.held.error.is_some() {
                return Poll::Ready(Stopped::Failed);
            }
            if matches!(self.held.rest, Rest::Boxed(_)) && self.is_full() {
                return Poll::Ready(Stopped::Full);
            }
            let Rest::Boxed(body) = &mut self.held.rest else {
                return Poll::Ready(Stopped::Ended);
            };
            let frame = ready!(body.as_mut().poll_frame(cx));
            if body.is_end_stream() {
                self.held.rest = Rest::Over;
            }
            match frame {
                None => self.held.rest = Rest::Over,
                Some(Err(error)) => {
                    self.held.rest = Rest::Over;
                    self.held.error = Some(error);
                }
                Some(Ok(frame)) => {
                    if frame.is_trailers() {
                        self.held.rest = Rest::Over;
                    }
                    self.count(&frame);
                    let verdict = decide(&frame);
                    self.held.push(frame);
                    if let ControlFlow::Break(value) = verdict {
                        return Poll::Ready(Stopped::Decided(value));
                    }
                }
            }
        }
    }

    /// Whether no more is held. Room for frames is made where that is all that lacks.
    fn is_full(&mut self) -> bool {
        if self.bytes >= self.limit || self.blank >= self.limit.saturating_mul(4) {
            return true;
        }
        if self.held.frames.len() < MAX_FRAMES {
            return false;
        }
        if self.patient {
            self.join();
        }
        !self.patient
    }

    fn count(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else {
            return;
        };
        let first = data.iter().position(|b| !b.is_ascii_whitespace());
        if !self.patient || self.meaning {
            self.bytes += data.len();
        } else {
            // Empty frames count too, or nothing would bound them.
            let blank = first.unwrap_or(data.len());
            self.blank += blank.max(1);
            self.bytes += data.len() - blank;
        }
        self.meaning |= first.is_some();
    }

    /// The data frames held.
    pub(crate) fn data(&self) -> impl Iterator<Item = &Bytes> {
        self.held.frames.iter().filter_map(Frame::data_ref)
    }

    /// The body's failure, if it was met.
    #[must_use]
    pub fn error(&self) -> Option<&B::Error> {
        self.held.error.as_ref()
    }

    /// Takes the body's failure out, if it was met.
    pub fn take_error(&mut self) -> Option<B::Error> {
        self.held.error.take()
    }

    /// The frames held, in order.
    pub fn frames(&self) -> impl Iterator<Item = &Frame<Bytes>> {
        self.held.frames.iter()
    }

    /// Data bytes held; of a [patient](Self::patient) one without the blanks at the beginning.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes
    }

    /// Makes one frame of the data held.
    pub(crate) fn join(&mut self) {
        self.held.join();
    }

    /// Lets go: a body that yields all that was held, then the rest.
    #[must_use]
    pub fn into_body(self) -> Held<B> {
        self.held
    }
}

impl<B: Body> fmt::Debug for Peek<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek")
            .field("frames", &self.held.frames.len())
            .field("bytes", &self.bytes)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

// === impl Held ===

impl<B: Body<Data = Bytes>> Held<B> {
    /// A body of which nothing was read. Costs nothing.
    pub const fn untouched(body: B) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            error: None,
            rest: Rest::Inline(body),
        }
    }

    fn push(&mut self, frame: Frame<Bytes>) {
        self.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        self.frames.push_back(frame);
    }

    /// Makes one piece of the held data frames and shares it. Copies only if there were several.
    pub(crate) fn join(&mut self) -> Bytes {
        let mut chunks = self.frames.iter().filter_map(Frame::data_ref);
        let whole = match (chunks.next(), chunks.next()) {
            (None, _) => return Bytes::new(),
            (Some(only), None) => return only.clone(),
            (Some(_), Some(_)) => {
                let mut all = BytesMut::with_capacity(usize::try_from(self.bytes).unwrap_or(0));
                for chunk in self.frames.iter().filter_map(Frame::data_ref) {
                    all.extend_from_slice(chunk);
                }
                all.freeze()
            }
        };
        self.frames.retain(Frame::is_trailers);
        self.frames.push_front(Frame::data(whole.clone()));
        whole
    }

    /// Puts other data in the place of all that is held.
    #[cfg(feature = "llm")]
    pub(crate) fn replace(&mut self, data: Bytes) {
        self.frames.retain(Frame::is_trailers);
        self.bytes = data.len() as u64;
        self.frames.push_front(Frame::data(data));
    }

    /// Data bytes held.
    #[cfg(feature = "llm")]
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the body ended well within what is held.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.rest, Rest::Over) && self.error.is_none()
    }
}

impl<B: Body<Data = Bytes>> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        if let Some(frame) = this.frames.pop_front() {
            *this.bytes -= frame.data_ref().map_or(0, Bytes::len) as u64;
            return Poll::Ready(Some(Ok(frame)));
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match this.rest.project() {
            RestProj::Inline(body) => body.poll_frame(cx),
            RestProj::Boxed(body) => body.as_mut().poll_frame(cx),
            RestProj::Over => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty()
            && self.error.is_none()
            && match &self.rest {
                Rest::Inline(body) => body.is_end_stream(),
                Rest::Boxed(body) => body.is_end_stream(),
                Rest::Over => true,
            }
    }

    fn size_hint(&self) -> SizeHint {
        let rest = match &self.rest {
            Rest::Inline(body) => body.size_hint(),
            Rest::Boxed(body) => body.size_hint(),
            Rest::Over => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(self.bytes));
        // The size of what ends with an error is not known: a server that announced it would never ask for the error, and
        // half a body would look whole.
        if let Some(upper) = rest.upper().filter(|_| self.error.is_none()) {
            hint.set_upper(upper.saturating_add(self.bytes));
        }
        hint
    }
}

impl<B: Body> fmt::Debug for Held<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("frames", &self.frames.len())
            .field("bytes", &self.bytes)
            .field("failed", &self.error.is_some())
            .finish_non_exhaustive()
    }
}
