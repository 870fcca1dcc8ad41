//! The one response body.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{
    guard::{Guard, How},
    tail::Tail,
};
use crate::{base::BoxError, body::Body};

/// The body of an answer, and all that lasts to its end. See the [module](super).
///
/// Frames, size hint and end are those of the body below. The end is told once: when the last frame was read, at an error, or at the drop of the body, after what is below it was
/// dropped.
pub struct ResponseBody {
    /// `None` in the drop only.
    data: Option<Body>,
    /// `None` if nobody waits for the end, or it was told.
    tail: Option<Box<Tail>>,
}

// === impl ResponseBody ===

impl ResponseBody {
    /// Erases a body, unless it is one of these or a [`Body`].
    fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            data: Some(Body::new(body)),
            tail: None,
        }
    }
}

/// Adds a guard to an answer, in place if the body allows it. One that is over already ends the guard at once.
pub(super) fn attach<B>(response: Response<B>, guard: Guard) -> Response<ResponseBody>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = ours(response);
    if response.body().is_end_stream() && response.body().tail.is_none() {
        let mut tail = Tail::of(&response);
        tail.push(guard);
        tail.end(How::Complete, None);
        return response;
    }
    let tail = match response.body_mut().tail.take() {
        Some(tail) => tail,
        None => Box::new(Tail::of(&response)),
    };
    response.body_mut().tail.insert(tail).push(guard);
    response
}

fn ours<B>(response: Response<B>) -> Response<ResponseBody>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = Some(response);
    let any: &mut dyn Any = &mut response;
    match any.downcast_mut::<Option<Response<ResponseBody>>>() {
        Some(ours) => ours.take(),
        None => response.map(|r| r.map(ResponseBody::new)),
    }
    .unwrap_or_else(|| Response::new(ResponseBody::new(Body::empty())))
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(data) = &mut this.data else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(&mut *data).poll_frame(cx));
        if this.tail.is_some() {
            let (over, how, error) = match &frame {
                Some(Ok(frame)) => (
                    frame.is_trailers() || data.is_end_stream(),
                    How::Complete,
                    None,
                ),
                Some(Err(error)) => (true, How::Broken, Some(error)),
                None => (true, How::Complete, None),
            };
            // A server may stop polling after trailers, or once the body says that it is over: nobody waits for the `None`.
            if over && let Some(tail) = this.tail.take() {
                tail.end(how, error);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.data.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.data
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.data = None;
        if let Some(tail) = self.tail.take() {
            tail.end(How::Dropped, None);
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("data", &self.data)
            .field("ended", &self.tail.is_none())
            .finish()
    }
}
