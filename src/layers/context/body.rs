//! A response body that is polled in its request's context.

use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll, ready},
};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use super::current::{Context, within};
use crate::layers::spans::{How, Serving};

/// A body polled in a [`Context`], so that what it asks upstreams while it streams carries it too.
#[pin_project]
#[derive(Debug)]
pub struct ContextBody<B> {
    #[pin]
    inner: B,
    context: Context,
    serving: Serving,
}

// === impl ContextBody ===

impl<B> ContextBody<B> {
    pub(super) fn new(inner: B, context: Context, serving: Serving) -> Self {
        Self {
            inner,
            context,
            serving,
        }
    }
}

impl<B: Body> Body for ContextBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(within(this.context, || this.inner.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.serving.sent(data.remaining());
                } else if let Some(trailers) = frame.trailers_ref() {
                    this.serving.trailers(trailers);
                }
                // A server may stop polling then.
                if frame.is_trailers() || this.inner.is_end_stream() {
                    this.serving.over(How::Complete);
                }
            }
            Some(Err(_)) => this.serving.over(How::Failed),
            None => this.serving.over(How::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
