//! The [`Service`] shell.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{core::Rejected, handle::Handle};
use crate::{
    base::{
        BoxError, Error, Kind,
        order::{self, Step},
    },
    classify::answer::{Guarded, ResponseBody},
};

/// Refuses calls while its circuit is open.
#[derive(Clone, Debug)]
pub struct Breaker<S> {
    inner: S,
    handle: Handle,
}

// === impl Breaker ===

impl<S> Breaker<S> {
    /// Puts `handle`'s circuit in front of `inner`.
    #[must_use]
    pub const fn new(inner: S, handle: Handle) -> Self {
        Self { inner, handle }
    }

    /// The circuit.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// # Errors
/// [`Kind::CircuitOpen`] with the time left, and the inner service's own.
impl<S, B, R> Service<Request<B>> for Breaker<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: 'static,
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
        order::not_below(
            request.extensions(),
            Step::Classify,
            "ClassifyLayer stands above BreakerLayer, which would judge by the status alone; put ClassifyLayer below",
        );
        match self.handle.admit() {
            Ok(guard) => {
                let guard = guard.with_reason_of(&request);
                Guarded::admitted(self.inner.call(request), guard)
            }
            Err(Rejected { retry_after }) => {
                let error = Error::new(Kind::CircuitOpen);
                Guarded::refused(match retry_after {
                    Some(wait) => error.with_retry_after(wait),
                    None => error,
                })
            }
        }
    }
}
