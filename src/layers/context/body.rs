//! A response body that is polled in its request's context.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::current::{Context, within};

/// A body polled in a [`Context`], so that what it asks upstreams while it streams carries it too.
#[pin_project]
#[derive(Debug)]
pub struct ContextBody<B> {
    #[pin]
    inner: B,
    context: Context,
}

// === impl ContextBody ===

impl<B> ContextBody<B> {
    pub(super) fn new(inner: B, context: Context) -> Self {
        Self { inner, context }
    }
}

impl<B: Body> Body for ContextBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        within(this.context, || this.inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
