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
use crate::{
    base::BoxError,
    body::{Body, Observe},
    classify::{Class, Classified},
};

/// The body of an answer, and all that lasts to its end. See the [module](super).
///
/// Frames, size hint and end are those of the body below. The end is told once: when the last frame was read, at an error, or at the drop of the body, after what is below it was
/// dropped.
pub struct ResponseBody {
    /// `None` in the drop only.
    data: Option<Body>,
    class: Option<Class>,
    /// `None` if nobody waits for the end, or it was told.
    tail: Option<Box<Tail>>,
}

// === impl ResponseBody ===

impl ResponseBody {
    /// What the attempt came to, as far as it is known when the answer is handed on. `None` if only its end will tell, if no
    /// [`Classify`](crate::classify::Classify) stands below, or if a foreign body hides what it left.
    #[must_use]
    pub const fn class(&self) -> Option<&Class> {
        self.class.as_ref()
    }

    /// Takes a body that is one of these as it is; erases others, unless it is a [`Body`].
    pub(in crate::classify) fn of<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        let any: &mut dyn Any = &mut body;
        match any.downcast_mut::<Option<Self>>() {
            Some(ours) => ours.take(),
            None => body.map(Self::new),
        }
        .unwrap_or_else(|| Self::new(Body::empty()))
    }

    fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            data: Some(Body::new(body)),
            class: None,
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
    let mut response = response.map(ResponseBody::of);
    let tail = response.body_mut().tail.take();
    let mut tail = tail.unwrap_or_else(|| Tail::of(&response));
    tail.push(guard);
    keep(response, tail)
}

/// Has `watch` decide the class of an answer in which its [`Classified`] was left.
pub(in crate::classify) fn watched(
    mut response: Response<ResponseBody>,
    watch: impl Observe<BoxError> + Send + 'static,
) -> Response<ResponseBody> {
    if response
        .body()
        .tail
        .as_ref()
        .is_some_and(|tail| tail.is_watched())
    {
        response = response.map(ResponseBody::new);
    }
    let tail = response.body_mut().tail.take();
    let classified = response.extensions().get::<Classified>();
    let class = classified.and_then(Classified::head).cloned();
    response.body_mut().class = class;
    let mut tail = tail.unwrap_or_default();
    tail.watch(&response, watch);
    keep(response, tail)
}

/// Puts the tail to an answer, or ends it if that is over already.
fn keep(mut response: Response<ResponseBody>, tail: Box<Tail>) -> Response<ResponseBody> {
    if response.body().is_end_stream() {
        tail.end(How::Complete, None);
    } else {
        response.body_mut().tail = Some(tail);
    }
    response
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
        if let Some(tail) = &mut this.tail {
            if let Some(Ok(frame)) = &frame {
                tail.show(frame);
            }
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
