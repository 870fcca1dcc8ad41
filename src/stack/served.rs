//! Notes that an upstream answered, and how long that took.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project::pin_project;
use tower::{Layer, Service};

use crate::base::{ext::Record, time::Instant};

const SERVICE_TIME: HeaderName = HeaderName::from_static("x-envoy-upstream-service-time");

/// Applies [`Served`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ServedLayer;

/// Adds `x-envoy-upstream-service-time` to responses: milliseconds from the first send to the response head, retries
/// and waits included. The request's [`Record`] gets the same, and Envoy's details `via_upstream`.
#[derive(Clone, Debug)]
pub struct Served<S>(S);

/// Future of [`Served`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    begin: Instant,
    record: Option<Record>,
}

impl<S> Layer<S> for ServedLayer {
    type Service = Served<S>;

    fn layer(&self, inner: S) -> Served<S> {
        Served(inner)
    }
}

impl<S, B, R> Service<Request<B>> for Served<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let record = request.extensions().get().cloned();
        ResponseFuture {
            begin: Instant::now(),
            record,
            inner: self.0.call(request),
        }
    }
}

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
                record.note(|n| {
                    n.upstream_time = Some(took);
                    n.details = Some("via_upstream".to_owned());
                });
            }
        }
        Poll::Ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_to_the_head_is_told_and_noted() {
        let slow = service_fn(|_: Request<()>| async {
            tokio::time::sleep(Duration::from_millis(7)).await;
            Ok::<_, Infallible>(Response::new(()))
        });
        let record = Record::default();
        let mut request = Request::new(());
        request.extensions_mut().insert(record.clone());
        let response = ServedLayer.layer(slow).oneshot(request).await.unwrap();
        assert_eq!(response.headers()[SERVICE_TIME], "7");
        let notes = record.snapshot();
        assert_eq!(notes.upstream_time, Some(Duration::from_millis(7)));
        assert_eq!(notes.details.as_deref(), Some("via_upstream"));
    }
}
