//! The response future.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use pin_project::pin_project;

use super::{
    Body,
    body::{Expiry, Notes, is_timeout},
};
use crate::{
    base::{
        BoxError, Error, Kind,
        ext::Deadline,
        time::{Sleep, sleep_until},
    },
    body::{Observed, timed::Timed},
};

/// Response future of [`Deadline`](super::Deadline). At the deadline it drops the inner future and fails.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    /// `None` once the deadline has passed.
    #[pin]
    inner: Option<F>,
    #[pin]
    timer: Option<Sleep>,
    limit: Option<(Deadline, Notes)>,
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(super) fn unlimited(inner: F) -> Self {
        Self {
            inner: Some(inner),
            timer: None,
            limit: None,
        }
    }

    pub(super) fn limited(inner: F, deadline: Deadline, notes: Notes) -> Self {
        Self {
            inner: Some(inner),
            timer: Some(sleep_until(deadline.0)),
            limit: Some((deadline, notes)),
        }
    }

    pub(super) fn expired() -> Self {
        Self {
            inner: None,
            timer: None,
            limit: None,
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: HttpBody<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(Err(exceeded()));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            let limit = this.limit.take();
            return Poll::Ready(match result.map_err(Into::into) {
                Ok(response) => Ok(response.map(|body| bound(body, limit))),
                Err(error) => {
                    // An inner layer may find out in the same moment.
                    if let Some((_, notes)) = limit.filter(|_| is_timeout(&error)) {
                        notes.stats.timeouts.inc();
                    }
                    Err(error)
                }
            });
        }
        let Some(timer) = this.timer.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        if timer.poll(cx).is_pending() {
            return Poll::Pending;
        }
        let notes = this.limit.take().map(|(_, notes)| notes);
        if let Some(given_up) = notes.as_ref().and_then(|n| n.given_up.as_ref()) {
            given_up.set(Some(Kind::DeadlineExceeded));
        }
        this.inner.set(None);
        if let Some(notes) = notes {
            notes.stats.timeouts.inc();
        }
        Poll::Ready(Err(exceeded()))
    }
}

fn exceeded() -> BoxError {
    Error::new(Kind::DeadlineExceeded).into()
}

fn bound<R>(body: R, limit: Option<(Deadline, Notes)>) -> Body<R>
where
    R: HttpBody<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    match limit {
        Some((Deadline(at), notes)) => Observed::new(
            Timed::deadline(body, at, Kind::DeadlineExceeded),
            Expiry(Some(notes)),
        ),
        None => Observed::new(Timed::unlimited(body), Expiry(None)),
    }
}
