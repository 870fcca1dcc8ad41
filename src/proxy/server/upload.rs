//! A request's body on its way in.

use std::{
    error::Error as _,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project::pin_project;

use super::pulse::{Reading, Request};
use crate::{
    base::{
        BoxError, Error, Kind, muted,
        time::{Instant, Sleep, sleep_until},
    },
    mesh::request_trailers,
};

/// A body that fails once its reader has waited too long for the next bytes, as long as no answer has begun: behind that
/// a silent caller may be one that listens.
#[pin_project]
pub(super) struct Upload {
    #[pin]
    inner: Incoming,
    /// Until the body is over.
    request: Option<Reading>,
    /// `None` is no limit.
    limit: Option<Duration>,
    http1: bool,
    /// When time is up: known from the first wait after a frame.
    up: Option<Instant>,
    #[pin]
    timer: Option<Sleep>,
}

// === impl Upload ===

impl Upload {
    pub(super) fn new(
        inner: Incoming,
        request: Arc<Request>,
        limit: Option<Duration>,
        http1: bool,
    ) -> Self {
        Self {
            inner,
            request: Some(Reading::new(request)),
            limit,
            http1,
            up: None,
            timer: None,
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut this = self.project();
        let (polled, missed) = muted(|| this.inner.as_mut().poll_frame(cx));
        // Behind the last frame of HTTP/1 nothing is to be read.
        if let Some(relay) = missed.filter(|_| !(*this.http1 && this.inner.is_end_stream())) {
            relay.notify();
        }
        if let Poll::Ready(mut frame) = polled {
            if let Some(Ok(frame)) = &mut frame
                && let Some(trailers) = frame.trailers_mut()
            {
                request_trailers(trailers);
            }
            // HTTP/2 may send frames with nothing in them for ever.
            if !matches!(&frame, Some(Ok(f)) if f.data_ref().is_some_and(Bytes::is_empty)) {
                *this.up = None;
            }
            let failed = matches!(frame, Some(Err(_)));
            if frame.is_none() || failed || this.inner.is_end_stream() {
                match this.request.take() {
                    Some(reading) if !failed => reading.finish(),
                    _ => {}
                }
            }
            return Poll::Ready(frame.map(|f| f.map_err(|e| broken(e).into())));
        }
        let (Some(limit), Some(request)) = (*this.limit, this.request.as_ref()) else {
            return Poll::Pending;
        };
        *this.up = this.up.or_else(|| Instant::now().checked_add(limit));
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
        if request.is_answered() {
            *this.limit = None;
            return Poll::Pending;
        }
        *this.request = None;
        Poll::Ready(Some(Err(Error::new(Kind::UploadTimeout).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Why a request's body broke off: what came was no HTTP, or the caller went away. Neither is an upstream's fault.
fn broken(error: hyper::Error) -> Error {
    let io = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    let kind = match io.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Kind::BadRequest,
        _ => Kind::Canceled,
    };
    Error::new(kind).with_source(error)
}
