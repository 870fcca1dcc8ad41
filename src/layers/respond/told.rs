//! A stream that tells its reader when it fails.
//!
//! Once the head is out there is no status to tell a failure with, and a stream that merely ends looks complete to many
//! clients. So the failure goes into the stream, as the API's own error event, and then the body fails: the server ends
//! HTTP/1.1 without a last chunk and HTTP/2 with `RST_STREAM`.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{
    base::{
        BoxError,
        time::{Sleep, sleep},
    },
    body::Body,
    classify::{Failure, Outcome, transport::class_of_body_error},
    llm::{
        Dialect,
        errors::{self, Place},
        stream::Framing,
    },
};

/// How long the last event, the provider's own or this side's, has for its way out before the body fails: a reset overtakes
/// what still waits to be written, the head with it.
const GRACE: Duration = Duration::from_millis(100);

/// A response body, watched for its failure.
pub(super) struct ErrorEventBody {
    /// `None` once it has failed: what it held is free.
    inner: Option<Body>,
    dialect: Dialect,
    place: Place,
    failed: Option<(BoxError, Pin<Box<Sleep>>)>,
}

// === impl ErrorEventBody ===

impl ErrorEventBody {
    pub(super) fn new(inner: Body, dialect: Dialect, framing: Framing) -> Self {
        Self {
            inner: Some(inner),
            dialect,
            place: Place::new(framing),
            failed: None,
        }
    }

    /// The event that tells of an error; `None` if the reader knows, has left, or could not read it.
    fn event(&self, error: &BoxError) -> Option<Bytes> {
        if was_told(error) {
            return None;
        }
        let class = class_of_body_error(error);
        let outcome = class.inner.unwrap_or(class.outcome);
        if outcome == Outcome::Cancelled {
            return None;
        }
        let status = errors::status(outcome, self.dialect);
        let message = errors::message(outcome, status);
        self.place.error(self.dialect, outcome, status, message)
    }
}

impl HttpBody for ErrorEventBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(inner) = &mut self.inner {
            match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.place.pass(data);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => {
                    self.inner = None;
                    let event = self.event(&error);
                    if event.is_none() && !was_told(&error) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    self.failed = Some((error, Box::pin(sleep(GRACE))));
                    if let Some(event) = event {
                        return Poll::Ready(Some(Ok(Frame::data(event))));
                    }
                }
                None => return Poll::Ready(None),
            }
        }
        let Some((_, grace)) = &mut self.failed else {
            return Poll::Ready(None);
        };
        ready!(grace.as_mut().poll(cx));
        Poll::Ready(self.failed.take().map(|(error, _)| Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Some(inner) => inner.is_end_stream(),
            None => self.failed.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // An event may come on top.
        let lower = self
            .inner
            .as_ref()
            .map_or(0, |body| body.size_hint().lower());
        let mut hint = SizeHint::new();
        hint.set_lower(lower);
        hint
    }
}

/// Whether the provider's own error event has just passed.
fn was_told(error: &BoxError) -> bool {
    Failure::find(error.as_ref()).is_some_and(|failure| failure.told)
}
