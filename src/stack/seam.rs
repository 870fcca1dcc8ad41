//! Where one part of a stack hands a request to another whose type it does not know.

use std::{
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower::Service;

use crate::{
    base::{BoxError, Called, Error, Kind},
    body::Body,
};

/// The response future of a [`Boxed`].
pub type BoxedFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// A stack whose type is not known. Cloning shares it.
///
/// It is always ready: a call makes a service of its own from the stack's and calls it, at once where that is ready and else when
/// it is, all in the one box of its future.
///
/// # Errors
/// Those of the stack, its readiness' among them.
///
/// # Cancel safety
/// Dropping the future drops the request, and the stack's future if there is one.
#[derive(Clone)]
pub struct Boxed(Arc<dyn Handler>);

/// A service that is called through a shared reference.
trait Handler: Send + Sync {
    fn handle(&self, request: Request<Body>) -> BoxedFuture;
}

// === impl Boxed ===

impl Boxed {
    /// Hides the type of a service.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
    {
        Self(Arc::new(service))
    }
}

impl Service<Request<Body>> for Boxed {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxedFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> BoxedFuture {
        self.0.handle(request)
    }
}

impl fmt::Debug for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Boxed")
    }
}

// === impl Handler ===

impl<S> Handler for S
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn handle(&self, request: Request<Body>) -> BoxedFuture {
        match Called::new(self.clone(), request) {
            Called::Now(future) => Box::pin(Erased(future)),
            Called::Later(future) => Box::pin(Erased(future)),
            Called::Failed(error) => {
                let error = error.map_or_else(|| Error::new(Kind::Internal).into(), Into::into);
                Box::pin(ready(Err(error)))
            }
        }
    }
}

/// A future whose error is one of any kind.
#[pin_project]
struct Erased<F>(#[pin] F);

impl<F, T, E> Future for Erased<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().0.poll(cx).map_err(Into::into)
    }
}
