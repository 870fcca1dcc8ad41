//! The one streaming hook: watch a body without touching it.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project::{pin_project, pinned_drop};

/// Watches the frames of a body.
///
/// [`end`](Self::end) is called exactly once: when the body ended, failed or was dropped, whichever comes first.
pub trait Observe<E> {
    /// A data frame passes.
    fn data(&mut self, chunk: &Bytes) {
        let _ = chunk;
    }

    /// The trailers pass. The body's end follows.
    fn trailers(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// The body is over.
    fn end(self, how: End<'_, E>)
    where
        Self: Sized;
}

/// How a body ended.
#[derive(Debug)]
pub enum End<'a, E> {
    /// All of it was read.
    Complete,
    /// It failed.
    Failed(&'a E),
    /// It was dropped before its end: the reader went away.
    Dropped,
}

/// A body that tells an [`Observe`]r what passes. Frames, size hint and end are those of the inner body.
///
/// The inner body is dropped before the observer is told of a drop, so inner observers always end first.
#[pin_project(PinnedDrop)]
pub struct Observed<B: Body, O: Observe<B::Error>> {
    #[pin]
    inner: Option<B>,
    observer: Option<O>,
}

// === impl Observed ===

impl<B: Body, O: Observe<B::Error>> Observed<B, O> {
    /// Watches `inner`. A body that is over already ends the observer at once.
    pub fn new(inner: B, observer: O) -> Self {
        if inner.is_end_stream() {
            observer.end(End::Complete);
            return Self {
                inner: Some(inner),
                observer: None,
            };
        }
        Self {
            inner: Some(inner),
            observer: Some(observer),
        }
    }
}

impl<B, O> Body for Observed<B, O>
where
    B: Body<Data = Bytes>,
    O: Observe<B::Error>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(inner.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(observer) = this.observer.as_mut() {
                    if let Some(chunk) = frame.data_ref() {
                        observer.data(chunk);
                    } else if let Some(trailers) = frame.trailers_ref() {
                        observer.trailers(trailers);
                    }
                }
                // A server may stop polling after trailers, or once the body says that it is over: do not wait for
                // the `None`.
                if (frame.is_trailers() || inner.is_end_stream())
                    && let Some(observer) = this.observer.take()
                {
                    observer.end(End::Complete);
                }
            }
            Some(Err(error)) => {
                if let Some(observer) = this.observer.take() {
                    observer.end(End::Failed(error));
                }
            }
            None => {
                if let Some(observer) = this.observer.take() {
                    observer.end(End::Complete);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

#[pinned_drop]
impl<B: Body, O: Observe<B::Error>> PinnedDrop for Observed<B, O> {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        this.inner.set(None);
        if let Some(observer) = this.observer.take() {
            observer.end(End::Dropped);
        }
    }
}

impl<B: Body + fmt::Debug, O: Observe<B::Error>> fmt::Debug for Observed<B, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("inner", &self.inner)
            .field("ended", &self.observer.is_none())
            .finish()
    }
}
