//! Measures how long the upstream took to answer.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project::pin_project;
use tower::{Layer, Service};

use crate::base::{ext::Record, time::Instant};

/// Applies [`Timed`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TimedLayer;

/// Adds `x-envoy-upstream-service-time` to responses, and the same to the request's record: milliseconds from the first
/// send to the response head. Answers that are errors here have neither: no upstream took that time.
#[derive(Clone, Debug)]
pub(super) struct Timed<S> {
    inner: S,
}

/// Future of [`Timed`].
#[pin_project]
#[derive(Debug)]
pub(super) struct ResponseFuture<F> {
    #[pin]
    inner: F,
    begin: Instant,
    record: Option<Record>,
}

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

// === impl TimedLayer ===

impl<S> Layer<S> for TimedLayer {
    type Service = Timed<S>;

    fn layer(&self, inner: S) -> Timed<S> {
        Timed { inner }
    }
}

// === impl Timed ===

impl<S, B, R> Service<Request<B>> for Timed<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record = request.extensions().get::<Record>().cloned();
        ResponseFuture {
            begin: Instant::now(),
            inner: self.inner.call(request),
            record,
        }
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut outcome = ready!(this.inner.poll(cx));
        if let Ok(response) = &mut outcome {
            let took = this.begin.elapsed();
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            response
                .headers_mut()
                .insert(SERVICE_TIME, HeaderValue::from(millis));
            if let Some(record) = this.record {
                record.note(|n| n.upstream_time = Some(took));
            }
        }
        Poll::Ready(outcome)
    }
}
