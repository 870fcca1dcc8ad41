//! The response future: the inner one where nothing is retried, the boxed loop where something may be.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::base::BoxError;

type Attempts<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Response future of [`Retry`](super::Retry).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, T>(#[pin] Inner<F, T>);

#[pin_project(project = Projected)]
enum Inner<F, T> {
    Pass(#[pin] F),
    Attempts(Attempts<T>),
}

// === impl ResponseFuture ===

impl<F, T> ResponseFuture<F, T> {
    pub(super) fn pass(future: F) -> Self {
        Self(Inner::Pass(future))
    }

    pub(super) fn attempts(future: Attempts<T>) -> Self {
        Self(Inner::Attempts(future))
    }
}

impl<F, T, E> Future for ResponseFuture<F, T>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            Projected::Pass(future) => future.poll(cx).map_err(Into::into),
            Projected::Attempts(future) => future.as_mut().poll(cx),
        }
    }
}

impl<F, T> fmt::Debug for ResponseFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("retries", &matches!(self.0, Inner::Attempts(_)))
            .finish()
    }
}
