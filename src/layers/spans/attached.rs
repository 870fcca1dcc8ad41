//! A future with a span that is current while it runs.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::Span;

/// A future whose span, if it has one, is the process's current one while it is polled.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Attached<F> {
    #[pin]
    inner: F,
    span: Option<Span>,
}

// === impl Attached ===

impl<F> Attached<F> {
    pub(crate) fn new(inner: F, span: Option<Span>) -> Self {
        Self { inner, span }
    }
}

impl<F: Future> Future for Attached<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.as_ref().map(Span::enter);
        this.inner.poll(cx)
    }
}
