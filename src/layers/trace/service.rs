//! The tower services. They hold no state and hand the inner future through.

use std::task::{Context as TaskContext, Poll};

use http::Request;
use tower::Service;

use super::{
    begin::{begin, ensure_request_id},
    context::Context,
    params::Params,
    propagation::{extract, inject},
};
use crate::base::{
    SharedRng,
    order::{self, Step},
};

/// Leaves a [`Context`] in the request's extensions and makes sure of an `x-request-id`.
///
/// # Errors
/// The inner service's.
#[derive(Clone, Debug)]
pub struct Trace<S> {
    inner: S,
    params: Params,
    rng: SharedRng,
}

/// Writes the request's [`Context`], where its headers say nothing of a trace: the caller's, since no span is made here. A
/// request without a context passes untouched.
///
/// # Errors
/// The inner service's.
#[derive(Clone, Debug)]
pub struct Inject<S> {
    inner: S,
}

// === impl Trace ===

impl<S> Trace<S> {
    /// Wraps a service.
    #[must_use]
    pub fn new(inner: S, params: Params, rng: SharedRng) -> Self {
        Self { inner, params, rng }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        order::begin(request.extensions_mut());
        if self.params.enabled {
            let context = begin(request.headers_mut(), &self.params, &self.rng);
            request.extensions_mut().insert(context);
        } else {
            ensure_request_id(request.headers_mut(), &self.rng);
        }
        self.inner.call(request)
    }
}

// === impl Inject ===

impl<S> Inject<S> {
    /// Wraps a service.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self { inner }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Inject<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        order::pass(request.extensions_mut(), Step::Inject);
        if let Some(context) = request.extensions().get::<Context>().cloned()
            && extract(request.headers()).formats.is_none()
        {
            inject(&context, request.headers_mut());
        }
        self.inner.call(request)
    }
}
