//! The service.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::Service;

use super::{run::Run, shared::Shared};
use crate::{
    base::{BoxError, ext::Ordinary},
    body::Body,
};

/// Asks a chain of targets, the inner service first. See the [module](super).
pub struct Fallback<S> {
    inner: S,
    shared: Arc<Shared<S>>,
}

/// Response future of [`Fallback`].
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Boxed);

type Boxed = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

// === impl Fallback ===

impl<S> Fallback<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared<S>>) -> Self {
        Self { inner, shared }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, taken out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Clone> Clone for Fallback<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.shared))
    }
}

impl<S> fmt::Debug for Fallback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("params", &self.shared.params)
            .finish_non_exhaustive()
    }
}

/// # Errors
/// The first target's own, if no other one serves the request; [`Kind::RateLimited`](crate::base::Kind::RateLimited) with
/// a wait if every target is known to refuse for longer than the caller waits.
impl<S, B, R> Service<Request<B>> for Fallback<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let request = request.map(Body::new);
        let ordinary = request.extensions().get::<Ordinary>().is_some();
        if self.shared.targets.is_empty() || ordinary {
            let answer = self.inner.call(request);
            return ResponseFuture(Box::pin(async {
                Ok(answer.await.map_err(Into::into)?.map(Body::new))
            }));
        }
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let run = Run::new(ready, Arc::clone(&self.shared), request);
        ResponseFuture(Box::pin(run.run()))
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
