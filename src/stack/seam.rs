//! Where one part of a stack hands a request to another whose type it does not know.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::{Service, ServiceExt};

use crate::{base::BoxError, body::Body};

/// The response future of a [`Boxed`].
pub type BoxedFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

/// A stack whose type is not known. Cloning shares it.
///
/// It is always ready: a call makes a service of its own from the stack's, waits until that is ready and calls it, all in the
/// one box of its future.
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
        let call = self.clone().oneshot(request);
        Box::pin(async move { call.await.map_err(Into::into) })
    }
}
