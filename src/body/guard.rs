//! Keeps a value alive as long as a body.
//!
//! A permit, an in-flight count or a load handle that ends with the response head is wrong for a stream: the work is
//! done when the last byte is out. [`Guarded`] drops its guard at the body's end, at its failure or when the body is
//! dropped, whichever comes first.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::{End, Observe, Observed};

/// A body with a value that is dropped once, when the body is over.
///
/// On an early drop the inner body goes first, then the guard.
#[pin_project]
pub struct Guarded<B: Body, G>(#[pin] Observed<B, Hold<G>>);

struct Hold<G>(G);

// === impl Guarded ===

impl<B: Body, G> Guarded<B, G> {
    /// Keeps `guard` until `body` is over. If it is over already, the guard is dropped now.
    pub fn new(body: B, guard: G) -> Self {
        Self(Observed::new(body, Hold(guard)))
    }
}

impl<B: Body<Data = Bytes>, G> Body for Guarded<B, G> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().0.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

impl<B: Body + fmt::Debug, G> fmt::Debug for Guarded<B, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.0).finish()
    }
}

// === impl Hold ===

impl<E, G> Observe<E> for Hold<G> {
    fn end(self, _: End<'_, E>) {
        drop(self.0);
    }
}
