//! Counts attempts and their answers, under Envoy's names.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response, StatusCode};
use pin_project::pin_project;
use tower::{Layer, Service};

use crate::base::Counter;

/// Attempts of a cluster, or requests of a listener, by answer.
pub struct Counters {
    /// `upstream_rq_total`: attempts sent.
    pub total: Counter,
    /// `upstream_rq_completed`: those that got a response head.
    pub completed: Counter,
    codes: [Counter; 500],
}

/// Counts into shared [`Counters`].
#[derive(Clone, Debug)]
pub struct CountLayer(Arc<Counters>);

/// Counts requests and response heads.
#[derive(Clone, Debug)]
pub struct Count<S> {
    inner: S,
    counters: Arc<Counters>,
}

/// Future of [`Count`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    counters: Arc<Counters>,
}

// === impl Counters ===

impl Default for Counters {
    fn default() -> Self {
        Self {
            total: Counter::default(),
            completed: Counter::default(),
            codes: std::array::from_fn(|_| Counter::default()),
        }
    }
}

impl Counters {
    /// Notes an answer.
    pub fn answer(&self, status: StatusCode) {
        self.completed.inc();
        if let Some(counter) = usize::from(status.as_u16())
            .checked_sub(100)
            .and_then(|i| self.codes.get(i))
        {
            counter.inc();
        }
    }

    /// Statuses seen and how often, in order.
    pub fn by_code(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        (100..)
            .zip(&self.codes)
            .map(|(code, counter)| (code, counter.get()))
            .filter(|(_, n)| *n > 0)
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters")
            .field("total", &self.total)
            .field("completed", &self.completed)
            .finish_non_exhaustive()
    }
}

// === impl CountLayer ===

impl CountLayer {
    /// Counts into these.
    #[must_use]
    pub fn new(counters: Arc<Counters>) -> Self {
        Self(counters)
    }
}

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, inner: S) -> Count<S> {
        Count {
            inner,
            counters: Arc::clone(&self.0),
        }
    }
}

// === impl Count ===

impl<S, B, R> Service<Request<B>> for Count<S>
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
        self.counters.total.inc();
        ResponseFuture {
            inner: self.inner.call(request),
            counters: Arc::clone(&self.counters),
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
        let outcome = ready!(this.inner.poll(cx));
        if let Ok(response) = &outcome {
            this.counters.answer(response.status());
        }
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_code() {
        let counters = Counters::default();
        for status in [200, 200, 503, 599] {
            counters.answer(StatusCode::from_u16(status).unwrap());
        }
        counters.answer(StatusCode::from_u16(999).unwrap());
        assert_eq!(
            counters.by_code().collect::<Vec<_>>(),
            [(200, 2), (503, 1), (599, 1)]
        );
        assert_eq!(counters.completed.get(), 5);
    }
}
