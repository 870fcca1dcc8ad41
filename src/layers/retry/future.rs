//! The response future: the inner one where nothing is retried, the boxed loop where something may be.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;

use crate::base::{BoxError, ext::Record, hops};

type Attempts<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Response future of [`Retry`](super::Retry).
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, T>(#[pin] Inner<F, T>);

#[pin_project(project = Projected)]
enum Inner<F, T> {
    Pass(#[pin] F, Option<Record>),
    Attempts(Attempts<T>),
}

// === impl ResponseFuture ===

impl<F, T> ResponseFuture<F, T> {
    pub(super) fn pass(future: F, record: Option<Record>) -> Self {
        Self(Inner::Pass(future, record))
    }

    pub(super) fn attempts(future: Attempts<T>) -> Self {
        Self(Inner::Attempts(future))
    }
}

impl<F, R, E> Future for ResponseFuture<F, Response<R>>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            Projected::Pass(future, record) => {
                let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                // The last word of the hop below is ours too.
                let last_word = hops::take_final(response.headers_mut());
                if let (Some(why), Some(record)) = (last_word, record) {
                    record.note(|n| n.ended = Some(why));
                }
                Poll::Ready(Ok(response))
            }
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
