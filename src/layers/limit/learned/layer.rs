//! The layer and the service that read answers.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use pin_project::pin_project;
use tower::{Layer, Service};

use super::{Key, Learned};
use crate::{
    base::{
        ext::RequestedModel,
        time::{Instant, wall_now},
    },
    llm::credential,
};

/// Applies [`Learn`]. It belongs below the retries: each attempt's answer tells.
#[derive(Clone, Debug)]
pub struct LearnLayer {
    learned: Arc<Learned>,
    target: Arc<str>,
}

/// Reads what every answer of a target says is left of its limits, under the [`Key`] of the target, the credential that the
/// request carries and its [`RequestedModel`]. Requests and answers pass as they are.
///
/// # Errors
/// Those of the inner service; from them nothing is learned.
#[derive(Clone, Debug)]
pub struct Learn<S> {
    inner: S,
    layer: LearnLayer,
}

/// The response future of [`Learn`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    learned: Arc<Learned>,
    key: Key,
}

// === impl LearnLayer ===

impl LearnLayer {
    /// Learns about this cluster or endpoint.
    #[must_use]
    pub fn new(learned: Arc<Learned>, target: impl Into<Arc<str>>) -> Self {
        Self {
            learned,
            target: target.into(),
        }
    }
}

impl<S> Layer<S> for LearnLayer {
    type Service = Learn<S>;

    fn layer(&self, inner: S) -> Learn<S> {
        Learn {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl Learn ===

impl<S, B, R> Service<Request<B>> for Learn<S>
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
        let model = request.extensions().get::<RequestedModel>();
        let key = Key::new(
            &self.layer.target,
            credential::sent(request.headers(), request.uri()),
            model.map(|RequestedModel(model)| &**model),
        );
        ResponseFuture {
            inner: self.inner.call(request),
            learned: Arc::clone(&self.layer.learned),
            key,
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
        let result = ready!(this.inner.poll(cx));
        if let Ok(response) = &result {
            let (now, wall) = (Instant::now(), wall_now());
            this.learned
                .observe(*this.key, response.headers(), now, wall);
        }
        Poll::Ready(result)
    }
}
