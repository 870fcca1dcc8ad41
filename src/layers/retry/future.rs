//! The response future: the first attempt as it is, and a box for what follows on it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project::pin_project;

use crate::base::{BoxError, Error, Kind, hops};

type Attempts<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Response future of [`Retry`](super::Retry). Once it is done it gives an error of [`Kind::Internal`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, T>(#[pin] Inner<F, T>);

#[pin_project(project = Projected)]
enum Inner<F, T> {
    /// The only attempt.
    Pass(#[pin] F),
    /// The first attempt, and what its result is handed to.
    First(#[pin] F, Option<Box<dyn Follow<T>>>),
    Attempts(Attempts<T>),
    Done,
}

/// What another attempt needs, kept while the first is under way.
pub(super) trait Follow<T>: Send {
    /// Decides what follows on the first attempt's result.
    fn follow(self: Box<Self>, result: Result<T, BoxError>) -> Next<T>;
}

/// What follows on an attempt.
pub(super) enum Next<T> {
    /// It is the answer.
    Return(Result<T, BoxError>),
    /// The other attempts.
    Attempts(Attempts<T>),
}

// === impl ResponseFuture ===

impl<F, T> ResponseFuture<F, T> {
    pub(super) fn pass(future: F) -> Self {
        Self(Inner::Pass(future))
    }

    pub(super) fn first(future: F, follow: Box<dyn Follow<T>>) -> Self {
        Self(Inner::First(future, Some(follow)))
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
        let mut this = self.project().0;
        let result = match this.as_mut().project() {
            Projected::Pass(future) => {
                let mut result = ready!(future.poll(cx)).map_err(Into::into);
                // The last word of the hop below is ours too.
                let head = result.as_mut().map(Response::headers_mut).ok();
                let last_word = head.and_then(hops::take_final);
                if let Some(why) = last_word {
                    hops::end(&mut result, why);
                }
                result
            }
            Projected::First(future, follow) => {
                let result = ready!(future.poll(cx)).map_err(Into::into);
                let next = match follow.take() {
                    Some(follow) => follow.follow(result),
                    None => Next::Return(result),
                };
                match next {
                    Next::Return(result) => result,
                    Next::Attempts(mut attempts) => {
                        // The first attempt's future goes before the next one begins.
                        this.set(Inner::Done);
                        let polled = attempts.as_mut().poll(cx);
                        if polled.is_pending() {
                            this.set(Inner::Attempts(attempts));
                        }
                        return polled;
                    }
                }
            }
            Projected::Attempts(future) => ready!(future.as_mut().poll(cx)),
            Projected::Done => Err(Error::new(Kind::Internal)
                .with_detail("a call was asked again after it was done")
                .into()),
        };
        this.set(Inner::Done);
        Poll::Ready(result)
    }
}

impl<F, T> fmt::Debug for ResponseFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("retries", &!matches!(self.0, Inner::Pass(..)))
            .finish()
    }
}
