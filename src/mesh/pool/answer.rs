//! A response body on its way in.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderName;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{active::Active, error, line::DriveGuard, upload::Upload};
use crate::{
    base::{BoxError, muted},
    mesh::hop::clean_trailers,
};

/// A response body. It moves its connection's bytes itself, and counts as a request on it until it is over.
///
/// Errors are the connection's, or the request body's where that is what went wrong. Dropping it in the middle closes the
/// connection or resets the stream.
pub(super) struct Answer {
    // Dropped in this order: the connection's task finds the reader gone.
    incoming: Incoming,
    drive: Option<DriveGuard>,
    active: Option<Active>,
    upload: Upload,
    /// Trailers that are for this connection alone.
    named: Vec<HeaderName>,
}

// === impl Answer ===

impl Answer {
    pub(super) fn new(
        incoming: Incoming,
        active: Active,
        drive: Option<DriveGuard>,
        upload: Upload,
        named: Vec<HeaderName>,
    ) -> Self {
        Self {
            incoming,
            drive,
            active: Some(active),
            upload,
            named,
        }
    }

    /// Whether reading it moves the connection's bytes.
    pub(super) fn is_driven(&self) -> bool {
        self.drive.is_some()
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut polled = match &this.drive {
            None => Pin::new(&mut this.incoming).poll_frame(cx),
            Some(drive) => {
                let mut polled = take(&mut this.incoming, drive, cx);
                if polled.is_pending() {
                    drive.poll(cx);
                    polled = take(&mut this.incoming, drive, cx);
                }
                polled
            }
        };
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            clean_trailers(trailers);
            for name in &this.named {
                trailers.remove(name);
            }
        }
        let over = match &polled {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers() || this.incoming.is_end_stream(),
            Poll::Ready(_) => true,
        };
        if over {
            this.drive = None;
            this.active = None;
        }
        polled.map_err(|e| error::sent(e, this.upload.failure()).into())
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The next frame. The connection need not be woken for the one after it: it is polled when that is asked for.
fn take(
    incoming: &mut Incoming,
    drive: &DriveGuard,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let (polled, missed) = muted(|| Pin::new(&mut *incoming).poll_frame(cx));
    if let Some(relay) = missed.filter(|_| !incoming.is_end_stream()) {
        drive.missed(&relay);
    }
    polled
}
