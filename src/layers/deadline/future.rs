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
        ext::{Deadline, Until},
        time::{Instant, Sleep},
    },
    body::{Observed, timed::Timed},
};

/// Response future of [`Deadline`](super::Deadline). At the deadline it drops the inner future and fails. Once it is done it gives an
/// error of [`Kind::Internal`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    /// `None` once it is done, or if the deadline had passed before it began.
    #[pin]
    inner: Option<F>,
    /// Whether it fails without having begun.
    expired: bool,
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
            expired: false,
            timer: None,
            limit: None,
        }
    }

    /// `patience`, if there is one, is sooner than what does not move of `until`.
    pub(super) fn limited(
        inner: F,
        until: Until,
        patience: Option<Deadline>,
        stalls: bool,
        notes: Notes,
    ) -> Self {
        let deadline = until.fixed();
        Self {
            inner: Some(inner),
            expired: false,
            timer: None,
            limit: Some(Limit {
                head: until.with_fixed(patience.or(deadline)),
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
            expired: true,
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
            return Poll::Ready(Err(match std::mem::take(this.expired) {
                true => Error::new(Kind::DeadlineExceeded).into(),
                false => Error::new(Kind::Internal)
                    .with_detail("a call was asked again after it was done")
                    .into(),
            }));
        };
        if let Poll::Ready(result) = inner.poll(cx) {
            let limit = this.limit.take();
            this.inner.set(None);
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
            let cause = limit.notes.cause.as_ref();
            if let Some(cause) = cause.filter(|_| ours) {
                cause.set(Some(Kind::DeadlineExceeded));
            }
            limit.notes.stats.timeouts.inc();
        }
        this.inner.set(None);
        Poll::Ready(Err(Error::new(why).into()))
    }
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
