//! Floor 1: the body wrappers that carry everything that must last as long as a stream.
//!
//! Every mechanism that outlives the response head (permits, in-flight counts, outcome, deadlines) rides on the body
//! through one wrapper, [`Observed`], and ends exactly once: at the end, at an error or at drop.

use std::{
    any::Any,
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{
    BodyExt, Full,
    combinators::{MapErr, UnsyncBoxBody},
};

use crate::base::BoxError;

mod carry;
pub mod context;
pub mod guard;
pub mod observe;
#[cfg(feature = "llm")]
mod owed;
pub mod peek;
pub mod prefix;
pub mod replay;
pub mod timed;

#[cfg(feature = "llm")]
pub(crate) use self::owed::owed;
pub use self::{
    context::Context,
    guard::Guarded,
    observe::{End, Observe, Observed},
    peek::{Held, Peek},
    prefix::read_prefix,
    replay::RequestBody,
    timed::Timed,
};

/// A body whose errors are boxed.
pub type BoxErrors<B> = MapErr<B, fn(<B as HttpBody>::Error) -> BoxError>;

/// Boxes a body's errors, so that whoever watches it can look into them.
pub fn box_errors<B>(body: B) -> BoxErrors<B>
where
    B: HttpBody,
    B::Error: Into<BoxError>,
{
    body.map_err(Into::into as fn(B::Error) -> BoxError)
}

/// A type-erased body of byte frames: what stands at the four boxed seams.
pub struct Body(Inner);

enum Inner {
    Empty,
    Full(Option<Bytes>),
    /// A request's, with its context.
    Request(Box<RequestBody>),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

// === impl Body ===

impl Body {
    /// Erases a body's type: one allocation, so do it at seams only. A `Body` is taken as it is, and bytes in memory ([`Full`]) cost none.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        if let Some(body) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>() {
            return body.take().unwrap_or_default();
        }
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<RequestBody>>() {
            return own.take().map_or_else(Self::empty, Self::of_request);
        }
        if let Some(full) = (&mut body as &mut dyn Any).downcast_mut::<Option<Full<Bytes>>>() {
            return full.take().map_or_else(Self::empty, Self::of_full);
        }
        Self(
            body.map(|b| Inner::Boxed(b.map_err(Into::into).boxed_unsync()))
                .unwrap_or(Inner::Empty),
        )
    }

    /// All is there already, so nobody needs to be woken.
    fn of_full(mut full: Full<Bytes>) -> Self {
        let mut cx = TaskContext::from_waker(Waker::noop());
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut full).poll_frame(&mut cx) else {
            return Self::empty();
        };
        frame.into_data().map_or_else(|_| Self::empty(), Self::from)
    }

    fn of_request(request: RequestBody) -> Self {
        if request.context().is_empty() && request.is_end_stream() {
            return Self::empty();
        }
        Self(Inner::Request(Box::new(request)))
    }

    /// The body of a request: see [`RequestBody::of`].
    pub(super) fn into_request(self) -> RequestBody {
        match self.0 {
            Inner::Empty | Inner::Full(None) => RequestBody::empty(),
            Inner::Full(Some(bytes)) => RequestBody::known(bytes),
            Inner::Request(request) => *request,
            Inner::Boxed(body) => RequestBody::boxed(body),
        }
    }

    /// What is known of the attempt, if it is the body of one.
    pub(super) fn context(&self) -> Option<&Context> {
        match &self.0 {
            Inner::Request(request) => Some(request.context()),
            _ => None,
        }
    }

    /// Changes it: it is the body of an attempt from now on.
    pub(super) fn edit_context(&mut self, change: impl FnOnce(&mut Context)) {
        let mut request = match std::mem::take(self).0 {
            Inner::Request(request) => request,
            other => Box::new(Self(other).into_request()),
        };
        change(request.context_mut());
        self.0 = Inner::Request(request);
    }

    /// Whether nothing more of it is waited for: it is over, or all in memory.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Inner::Empty | Inner::Full(_) => true,
            Inner::Request(request) => request.is_whole(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    /// No bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Inner::Empty)
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self(Inner::Full(Some(bytes)))
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Inner::Empty => Poll::Ready(None),
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Inner::Request(request) => Pin::new(&mut **request).poll_frame(cx),
            Inner::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Empty => true,
            Inner::Full(bytes) => bytes.is_none(),
            Inner::Request(request) => request.is_end_stream(),
            Inner::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Empty => SizeHint::with_exact(0),
            Inner::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Inner::Request(request) => request.size_hint(),
            Inner::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("size_hint", &self.size_hint())
            .finish()
    }
}
