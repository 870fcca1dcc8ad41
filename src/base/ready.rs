//! Calls of services that are nearly always ready.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use pin_project::pin_project;
use tower::{Service, util::Oneshot};

/// A call of a service: made at once if the service is ready, else when it is.
///
/// # Errors
/// Those of the service, its readiness' among them.
///
/// # Cancel safety
/// Dropping it drops the request, or the service's future.
#[pin_project(project = Projected)]
#[must_use = "futures do nothing unless polled"]
pub enum Called<S: Service<R>, R> {
    /// It was ready.
    Now(#[pin] S::Future),
    /// It was not.
    Later(#[pin] Oneshot<S, R>),
    /// It cannot become ready.
    Failed(Option<S::Error>),
}

// === impl Called ===

impl<S: Service<R>, R> Called<S, R> {
    /// Calls the service.
    pub fn new(mut service: S, request: R) -> Self {
        // Nobody waits yet: where it is not ready it is asked again by who does.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => Self::Now(service.call(request)),
            Poll::Ready(Err(error)) => Self::Failed(Some(error)),
            Poll::Pending => Self::Later(Oneshot::new(service, request)),
        }
    }
}

impl<S: Service<R>, R> Future for Called<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Projected::Now(future) => future.poll(cx),
            Projected::Later(future) => future.poll(cx),
            // Never ready again once it was, which the contract of `Future` leaves open.
            Projected::Failed(error) => error.take().map_or(Poll::Pending, |e| Poll::Ready(Err(e))),
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for Called<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Called")
    }
}

#[cfg(test)]
mod tests {
    use tower::{ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};

    use super::*;

    /// A service that is not ready is waited for, one that cannot be says so.
    #[tokio::test]
    async fn a_call_waits_until_the_service_is_ready() {
        let echo = service_fn(|n: u32| async move { Ok::<_, &str>(n) });
        let mut one = ServiceBuilder::new().concurrency_limit(1).service(echo);
        assert_eq!(Called::new(one.clone(), 1).await, Ok(1));
        let held: &mut ConcurrencyLimit<_> = one.ready().await.unwrap();
        let mut waits = Box::pin(Called::new(held.clone(), 2));
        assert!(matches!(*waits, Called::Later(_)));
        let polled = std::future::poll_fn(|cx| Poll::Ready(waits.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        drop(one);
        assert_eq!(waits.await, Ok(2));
    }
}
