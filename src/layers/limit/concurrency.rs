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

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower::{Layer, Service};

use crate::{
    base::{BoxError, Ceiling, Error, Kind, Permit},
    body::Guarded,
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

/// The response future of [`Concurrency`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

/// The response body of [`Concurrency`]: holds the permit until it is over.
pub type ResponseBody<R> = Guarded<R, Option<Permit>>;

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    /// The future goes before the permit when both are dropped.
    Called(#[pin] F, Option<Permit>),
    Refused,
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
    R: Body,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.ceiling.try_acquire() {
            Some(permit) => State::Called(self.inner.call(request), Some(permit)),
            None => State::Refused,
        };
        ResponseFuture { state }
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused => Poll::Ready(Err(Error::new(Kind::Overflow).into())),
            StateProj::Called(future, permit) => {
                let result = ready!(future.poll(cx)).map_err(Into::into);
                let permit = permit.take();
                Poll::Ready(result.map(|response| response.map(|b| Guarded::new(b, permit))))
            }
        }
    }
}
