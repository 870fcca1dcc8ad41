//! A call that is made at once, or only when something else is known.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;

use crate::base::BoxError;

/// The response future of services that often pass a request on as it is, and else have to wait first: mostly for a part of
/// its body. Only the second is boxed.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Late<F, T>(#[pin] State<F, T>);

type Waiting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

#[pin_project(project = StateProj)]
enum State<F, T> {
    Passed(#[pin] F),
    Waiting(Waiting<T>),
}

// === impl Late ===

impl<F, T> Late<F, T> {
    /// The inner service's own future.
    pub(crate) const fn passed(future: F) -> Self {
        Self(State::Passed(future))
    }

    /// What waits, and calls the inner service after that.
    pub(crate) fn waiting(
        future: impl Future<Output = Result<T, BoxError>> + Send + 'static,
    ) -> Self {
        Self(State::Waiting(Box::pin(future)))
    }
}

impl<F, T, E> Future for Late<F, T>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Passed(future) => future.poll(cx).map_err(Into::into),
            StateProj::Waiting(future) => future.as_mut().poll(cx),
        }
    }
}

impl<F, T> fmt::Debug for Late<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Late")
    }
}
