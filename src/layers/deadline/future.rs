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
        ext::{Deadline, Patience},
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
    limit: Option<Limit>,
}

#[derive(Debug)]
struct Limit {
    /// Of the whole answer.
    deadline: Option<Deadline>,
    /// Whether the timer is the caller's patience, which ends with the head.
    patience: bool,
    notes: Notes,
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

    /// `patience`, if there is one, is sooner than `deadline`.
    pub(super) fn limited(
        inner: F,
        deadline: Option<Deadline>,
        patience: Option<Patience>,
        notes: Notes,
    ) -> Self {
        let at = patience.map(|p| p.0).or_else(|| deadline.map(|d| d.0));
        Self {
            inner: Some(inner),
            timer: at.map(sleep_until),
            limit: Some(Limit {
                deadline,
                patience: patience.is_some(),
                notes,
            }),
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
                    if let Some(limit) = limit.filter(|_| is_timeout(&error)) {
                        limit.notes.stats.timeouts.inc();
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
        if let Some(limit) = this.limit.take() {
            let given_up = limit.notes.given_up.as_ref();
            if let Some(given_up) = given_up.filter(|_| !limit.patience) {
                given_up.set(Some(Kind::DeadlineExceeded));
            }
            limit.notes.stats.timeouts.inc();
        }
        this.inner.set(None);
        Poll::Ready(Err(exceeded()))
    }
}

fn exceeded() -> BoxError {
    Error::new(Kind::DeadlineExceeded).into()
}

fn bound<R>(body: R, limit: Option<Limit>) -> Body<R>
where
    R: HttpBody<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    match limit {
        Some(Limit {
            deadline: Some(Deadline(at)),
            notes,
            ..
        }) => Observed::new(
            Timed::deadline(body, at, Kind::DeadlineExceeded),
            Expiry(Some(notes)),
        ),
        _ => Observed::new(Timed::unlimited(body), Expiry(None)),
    }
}
