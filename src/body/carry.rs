//! How a body becomes a request's, and where its context is found.

use std::any::Any;

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body as HttpBody;
use http_body_util::Full;

use super::{Body, context::Context, replay::RequestBody};
use crate::base::{
    BoxError,
    ext::{CancelReason, Until},
};

// === impl RequestBody ===

impl RequestBody {
    /// Makes one of any body; one that is a `RequestBody` already, or a [`Body`] that holds one, stays as it is, with its
    /// [`Context`]. Bytes in memory are taken without an allocation.
    pub fn of<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut body = Some(body);
        let any: &mut dyn Any = &mut body;
        if let Some(own) = any.downcast_mut::<Option<Self>>() {
            return own.take().unwrap_or_default();
        }
        if let Some(erased) = any.downcast_mut::<Option<Body>>() {
            return erased.take().map(Body::into_request).unwrap_or_default();
        }
        if any.is::<Option<Full<Bytes>>>() {
            return body
                .map(|full| Body::new(full).into_request())
                .unwrap_or_default();
        }
        body.map(Self::streamed).unwrap_or_default()
    }

    /// Makes one that keeps up to `cap` bytes of its data for another reader: see [`keep`](Self::keep).
    #[must_use]
    pub fn new<B>(body: B, cap: usize) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::of(body).keep(cap)
    }

    /// Takes a request apart. A [`Context`] that a bridge left in its extensions comes along in the body.
    pub fn of_request<B>(request: Request<B>) -> (Parts, Self)
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut head, body) = request.into_parts();
        let mut body = Self::of(body);
        if let Some(left) = head.extensions.remove::<Context>()
            && body.context().is_empty()
        {
            *body.context_mut() = left;
        }
        (head, body)
    }
}

// === impl Context ===

impl Context {
    /// The context of a request: that of its body, if it is one of ours; else the one that a bridge left in its extensions. `None`:
    /// nothing is known.
    #[must_use]
    pub fn of<B: 'static>(request: &Request<B>) -> Option<&Self> {
        let body: &dyn Any = request.body();
        let own = match body.downcast_ref::<RequestBody>() {
            Some(body) => Some(body.context()),
            None => body.downcast_ref::<Body>().and_then(Body::context),
        };
        own.filter(|context| !context.is_empty())
            .or_else(|| request.extensions().get::<Self>())
    }

    /// Changes the context of a request: in its body, if that is one of ours; else in its extensions.
    pub fn edit<B: 'static>(request: &mut Request<B>, change: impl FnOnce(&mut Self)) {
        let body: &dyn Any = request.body();
        if !body.is::<RequestBody>() && !body.is::<Body>() {
            change(request.extensions_mut().get_or_insert_default());
            return;
        }
        let left = request.extensions_mut().remove::<Self>();
        let change = |context: &mut Self| {
            if let Some(left) = left
                && context.is_empty()
            {
                *context = left;
            }
            change(context)
        };
        let body: &mut dyn Any = request.body_mut();
        if let Some(body) = body.downcast_mut::<Body>() {
            body.edit_context(change);
        } else if let Some(body) = body.downcast_mut::<RequestBody>() {
            change(body.context_mut());
        }
    }

    /// Puts the body's context into the request's extensions: for a layer that gives the request another body. Whoever makes a
    /// [`RequestBody`] of that body takes it from there.
    #[must_use]
    pub fn into_extension<B: 'static>(mut request: Request<B>) -> Request<B> {
        if let Some(context) = Self::of(&request).cloned() {
            request.extensions_mut().insert(context);
        }
        request
    }

    /// All that bounds the time of a request.
    #[must_use]
    pub fn until<B: 'static>(request: &Request<B>) -> Until {
        let fixed = Self::of(request).and_then(Self::deadline);
        Until::of(fixed, request.extensions())
    }

    /// Why a request is given up, if it is dropped later: [`cancel_reason`](Self::cancel_reason). `None`: nobody knows.
    #[must_use]
    pub fn reason_of<B: 'static>(request: &Request<B>) -> Option<CancelReason> {
        Self::of(request).map(Self::cancel_reason)
    }
}
