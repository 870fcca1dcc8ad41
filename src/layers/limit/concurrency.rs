//! A ceiling on requests in flight.
//!
//! Envoy's `max_requests` (Istio: `http2MaxRequests`): at the ceiling a request is refused at once, because a queue in
//! front of an upstream that is full already only adds waiting. A request is in flight until the last byte of its
//! response is out, not until its headers: a stream of tokens loads the upstream to its end.
//!
//! Cancelling (dropping the future or the response body) gives the permit back, after the inner call is dropped.
//!
//! ```
//! use llmesh::{base::Ceiling, limit::concurrency::ConcurrencyLayer};
//! use tower::ServiceBuilder;
//!
//! let ceiling = Ceiling::new(100);
//! let layer = ServiceBuilder::new().layer(ConcurrencyLayer::new(ceiling.clone()));
//! // Later, as often as wanted: requests in flight stay, new ones see the new lid.
//! ceiling.set_limit(50);
//! # drop(layer);
//! ```

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::{Layer, Service};

use crate::{
    base::{BoxError, Ceiling, Error, Kind, ceiling},
    classify::answer::{Ended, Guard, Guarded, OnEnd, ResponseBody},
};

/// Applies a [`Ceiling`] to a service. All services it makes share the ceiling.
#[derive(Clone, Debug)]
pub struct ConcurrencyLayer {
    ceiling: Ceiling,
}

/// Refuses requests above a [`Ceiling`].
///
/// # Errors
/// [`Kind::Overflow`] at the ceiling (the inner service is not called), else those of the inner service.
#[derive(Clone, Debug)]
pub struct Concurrency<S> {
    inner: S,
    ceiling: Ceiling,
}

// === impl ConcurrencyLayer ===

impl ConcurrencyLayer {
    /// Limits to `ceiling`.
    #[must_use]
    pub const fn new(ceiling: Ceiling) -> Self {
        Self { ceiling }
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency::new(inner, self.ceiling.clone())
    }
}

// === impl Concurrency ===

impl<S> Concurrency<S> {
    /// Limits `inner` to `ceiling`.
    pub const fn new(inner: S, ceiling: Ceiling) -> Self {
        Self { inner, ceiling }
    }

    /// The ceiling: how many are in flight, how many were refused.
    pub const fn ceiling(&self) -> &Ceiling {
        &self.ceiling
    }
}

impl<S, B, R> Service<Request<B>> for Concurrency<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = Guarded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.ceiling.take() {
            Some(taken) => {
                let guard = Guard::new(taken, 0);
                Guarded::admitted(self.inner.call(request), guard)
            }
            None => Guarded::refused(Error::new(Kind::Overflow)),
        }
    }
}

// === impl ceiling::State ===

impl OnEnd for ceiling::State {
    fn end(&self, _: u64, _: &Ended<'_>) {
        self.give_back();
    }
}
