//! A body with a clock.
//!
//! Two limits that are easily confused: a *deadline* bounds the whole body, however well it flows; an *idle gap* bounds
//! the silence between two frames and lets a good stream last for hours. They are two modes of one wrapper.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project::pin_project;

use crate::base::{
    BoxError, Error, Kind,
    ext::Until,
    time::{Instant, Sleep, sleep_until},
};

/// A body that fails at an instant, or after a silence.
///
/// When time is up the inner body is dropped at once, so that the upstream is told and permits are free. A body that
/// is over, or fails by itself, in the same moment wins over the clock. No timer exists before the inner body first
/// makes its reader wait.
#[pin_project(project = TimedProj)]
pub struct Timed<B> {
    #[pin]
    inner: Option<B>,
    limit: Limit,
    kind: Kind,
    /// When time is up. For an idle gap: known from the first wait after a frame.
    up: Option<Instant>,
    #[pin]
    timer: Option<Sleep>,
}

#[derive(Debug)]
enum Limit {
    None,
    Deadline,
    Until(Until),
    Idle(Duration),
}

// === impl Timed ===

impl<B> Timed<B> {
    /// No limit.
    pub const fn unlimited(inner: B) -> Self {
        Self::new(inner, Limit::None, Kind::Internal, None)
    }

    /// Fails with `kind` if the body is not over at `deadline`.
    pub const fn deadline(inner: B, deadline: Instant, kind: Kind) -> Self {
        Self::new(inner, Limit::Deadline, kind, Some(deadline))
    }

    /// Fails with `kind` if the body is not over by then.
    pub const fn until(inner: B, until: Until, kind: Kind) -> Self {
        Self::new(inner, Limit::Until(until), kind, None)
    }

    /// Fails with `kind` (usually [`Kind::IdleTimeout`]) once the reader has waited `gap` for the next byte.
    ///
    /// Only waiting counts: a reader that does not ask for more is not the upstream's silence. Empty frames are
    /// silence.
    pub const fn idle(inner: B, gap: Duration, kind: Kind) -> Self {
        Self::new(inner, Limit::Idle(gap), kind, None)
    }

    const fn new(inner: B, limit: Limit, kind: Kind, up: Option<Instant>) -> Self {
        Self {
            inner: Some(inner),
            limit,
            kind,
            up,
            timer: None,
        }
    }
}

impl<B> Body for Timed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    /// # Errors
    /// Those of the inner body, and an [`Error`] of the given kind when time is up.
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        match inner.as_mut().poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let last = frame.is_trailers() || inner.is_end_stream();
                match this.limit {
                    Limit::None => {}
                    Limit::Until(until) => {
                        if !last && until.passed(Instant::now()) {
                            return this.time_is_up();
                        }
                    }
                    Limit::Deadline => {
                        if !last && this.up.is_some_and(|up| Instant::now() >= up) {
                            return this.time_is_up();
                        }
                    }
                    Limit::Idle(_) => {
                        if frame.data_ref().is_some_and(|data| !data.is_empty()) {
                            *this.up = None;
                        }
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|r| r.map_err(Into::into))),
            Poll::Pending => {
                if let Limit::Until(until) = this.limit {
                    ready!(until.poll(cx, this.timer.as_mut()));
                    return this.time_is_up();
                }
                if let Limit::Idle(gap) = this.limit {
                    *this.up = this.up.or_else(|| Instant::now().checked_add(*gap));
                }
                let Some(up) = *this.up else {
                    return Poll::Pending;
                };
                if this.timer.is_none() {
                    this.timer.set(Some(sleep_until(up)));
                }
                let Some(mut timer) = this.timer.as_mut().as_pin_mut() else {
                    return Poll::Pending;
                };
                if timer.deadline() != up {
                    timer.as_mut().reset(up);
                }
                ready!(timer.poll(cx));
                this.time_is_up()
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

// === impl TimedProj ===

impl<B> TimedProj<'_, B> {
    fn time_is_up<T>(&mut self) -> Poll<Option<Result<T, BoxError>>> {
        self.inner.set(None);
        self.timer.set(None);
        Poll::Ready(Some(Err(Error::new(*self.kind).into())))
    }
}

impl<B: fmt::Debug> fmt::Debug for Timed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed")
            .field("inner", &self.inner)
            .field("limit", &self.limit)
            .field("up", &self.up)
            .finish()
    }
}
