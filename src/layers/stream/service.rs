//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{Params, ResponseBody, ResponseFuture, call::Call};
use crate::base::{
    BoxError,
    order::{self, Step},
};

/// Makes LLM streams honest. See the [module](super).
///
/// # Errors
/// Those of the inner service. Of a generation call that was not answered with content:
/// [`Kind::HeadersTimeout`](crate::base::Kind::HeadersTimeout),
/// [`Kind::FirstTokenTimeout`](crate::base::Kind::FirstTokenTimeout),
/// [`Kind::StreamTruncated`](crate::base::Kind::StreamTruncated) and
/// [`Kind::StreamMalformed`](crate::base::Kind::StreamMalformed); of its body, these and
/// [`Kind::StreamError`](crate::base::Kind::StreamError) and
/// [`Kind::StreamStalled`](crate::base::Kind::StreamStalled).
#[derive(Clone, Debug)]
pub struct Stream<S> {
    inner: S,
    params: Arc<Params>,
}

// === impl Stream ===

impl<S> Stream<S> {
    pub(super) fn new(inner: S, params: Arc<Params>) -> Self {
        Self { inner, params }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, A, B> Service<Request<A>> for Stream<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    A: 'static,
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        order::pass(request.extensions_mut(), Step::Stream);
        let call = Call::of(&mut request, &self.params);
        ResponseFuture::new(self.inner.call(request), call)
    }
}
