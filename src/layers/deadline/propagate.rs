//! Tells each attempt's upstream what is left.

use std::task::{Context, Poll};

use http::Request;
use tower::{Layer, Service};

use super::headers;
use crate::{
    base::{
        order::{self, Step},
        time::Instant,
    },
    body,
};

/// Applies [`Propagate`]. Put it innermost, below retries, so that each attempt tells its own remainder.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateLayer(());

/// Writes the time that is left into the request's headers.
///
/// The caller's own `x-envoy-expected-rq-timeout-ms` is taken off; what is left of the request's
/// time ([`Until`](crate::base::ext::Until)) is written, at least 1 ms, and as `grpc-timeout` too on gRPC requests. Without a
/// limit nothing is written.
#[derive(Clone, Copy, Debug)]
pub struct Propagate<S> {
    inner: S,
}

// === impl PropagateLayer ===

impl PropagateLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for PropagateLayer {
    type Service = Propagate<S>;

    fn layer(&self, inner: S) -> Propagate<S> {
        Propagate { inner }
    }
}

// === impl Propagate ===

impl<S, B> Service<Request<B>> for Propagate<S>
where
    S: Service<Request<B>>,
    B: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        order::pass(request.extensions_mut(), Step::Propagate);
        let (until, now) = (body::Context::until(&request), Instant::now());
        let left = until.at(now).map(|d| d.left(now));
        headers::write(request.headers_mut(), left);
        self.inner.call(request)
    }
}
