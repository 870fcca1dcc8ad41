//! The response future.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use pin_project::pin_project;

use super::{
    Body,
    body::{Expiry, Notes, is_timeout},
};
use crate::{
    base::{
        BoxError, Error, Kind,
        ext::{Deadline, HeadDeadline, Until},
        time::{Instant, Sleep},
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
    /// Of the head: that of the whole answer, or the caller's patience, if that ends sooner.
    head: Until,
    /// What does not move of the whole answer's limit.
    deadline: Option<Deadline>,
    /// Whether the caller's patience bounds the head.
    patience: bool,
    /// Whether a caller that sends nothing more is not waited for longer than that.
    stalls: bool,
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

    /// `patience`, if there is one, is sooner than what does not move of `until`.
    pub(super) fn limited(
        inner: F,
        until: Until,
        patience: Option<HeadDeadline>,
        stalls: bool,
        notes: Notes,
    ) -> Self {
        let deadline = until.fixed();
        Self {
            inner: Some(inner),
            timer: None,
            limit: Some(Limit {
                head: until.with_fixed(patience.map(|p| Deadline(p.0)).or(deadline)),
                deadline,
                patience: patience.is_some(),
                stalls,
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
                Ok(response) => {
                    // As in Envoy: what comes behind a switch of protocols has no timeout.
                    let stays = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                    Ok(response.map(|body| bound(body, limit.filter(|_| stays))))
                }
                Err(error) => {
                    // An inner layer may find out in the same moment.
                    if let Some(limit) = limit.filter(|_| is_timeout(&error)) {
                        limit.notes.stats.timeouts.inc();
                    }
                    Err(error)
                }
            });
        }
        let Some(limit) = this.limit else {
            return Poll::Pending;
        };
        let why = if limit.stalls {
            ready!(limit.head.poll_or_stalled(cx, this.timer.as_mut()))
        } else {
            ready!(limit.head.poll(cx, this.timer.as_mut()));
            Kind::DeadlineExceeded
        };
        if let Some(limit) = this.limit.take().filter(|_| why == Kind::DeadlineExceeded) {
            let ours = if limit.head.moves() {
                limit.head.by_allowance(Instant::now())
            } else {
                !limit.patience
            };
            let given_up = limit.notes.given_up.as_ref();
            if let Some(given_up) = given_up.filter(|_| ours) {
                given_up.set(Some(Kind::DeadlineExceeded));
            }
            limit.notes.stats.timeouts.inc();
        }
        this.inner.set(None);
        Poll::Ready(Err(Error::new(why).into()))
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
    let kind = Kind::DeadlineExceeded;
    let (body, notes) = match limit {
        Some(limit) if limit.head.moves() => {
            let until = limit.head.with_fixed(limit.deadline);
            (Timed::until(body, until, kind), Some(limit.notes))
        }
        Some(Limit {
            deadline: Some(Deadline(at)),
            notes,
            ..
        }) => (Timed::deadline(body, at, kind), Some(notes)),
        _ => (Timed::unlimited(body), None),
    };
    Observed::new(body, Expiry(notes))
}
