//! The `Service` shell.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Request;
use pin_project::pin_project;
use tower::Service;

use super::ask::Asked;
use crate::{
    base::{BoxError, Error},
    classify::answer::polled_after_end,
};

/// Passes on what policies let in.
///
/// It reads the request's head, its [`Arrival`](crate::base::ext::Arrival) and its [`PeerIdentity`](crate::base::ext::PeerIdentity). The path is taken as it stands: bring it into its
/// normal form before.
///
/// # Errors
/// [`Kind::Forbidden`](crate::base::Kind::Forbidden), with Envoy's response code details as its source ([`Denied`](crate::base::Denied)), and those of the inner service.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone)]
pub struct Authz<S> {
    inner: S,
    policies: Asked,
}

/// Response future of [`Authz`]. One that refused and is polled again fails with [`Kind::Internal`](crate::base::Kind::Internal).
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    In(#[pin] F),
    Refused(Option<Error>),
}

// === impl Authz ===

impl<S> Authz<S> {
    pub(super) const fn new(inner: S, policies: Asked) -> Self {
        Self { inner, policies }
    }

    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B> Service<Request<B>> for Authz<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        ResponseFuture(match self.policies.check(&head) {
            Err(error) => State::Refused(Some(error)),
            Ok(()) => State::In(self.inner.call(Request::from_parts(head, body))),
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for Authz<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authz")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<R, E>>,
    E: Into<BoxError>,
{
    type Output = Result<R, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::In(future) => future.poll(cx).map_err(Into::into),
            StateProj::Refused(error) => {
                Poll::Ready(Err(error.take().map_or_else(polled_after_end, Into::into)))
            }
        }
    }
}
