//! Outbound: the current context into the request.

use std::task::{Context as TaskContext, Poll};

use http::Request;
use tower::{Layer, Service};

use super::current::current;
use crate::base::time::Instant;

/// Applies [`Client`]. Put it outermost, so that every other layer sees what it writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ClientLayer(());

/// Writes the [current](current) context into requests (see [`Context::apply`](super::Context::apply)). Outside of one
/// they pass untouched.
///
/// # Errors
/// The inner service's.
#[derive(Clone, Copy, Debug)]
pub struct Client<S> {
    inner: S,
}

// === impl ClientLayer ===

impl ClientLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Client<S> {
        Client { inner }
    }
}

// === impl Client ===

impl<S> Client<S> {
    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Client<S>
where
    S: Service<Request<B>>,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        if let Some(context) = current() {
            context.apply(&mut request, Instant::now());
        }
        self.inner.call(request)
    }
}
