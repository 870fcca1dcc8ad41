//! The response future of every layer that lets a call in and waits for its end.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{
    body::{ResponseBody, attach},
    guard::{Guard, How},
};
use crate::{
    base::{BoxError, Error, Kind},
    classify::transport::class_of_error,
};

/// A call that was let in, with the [`Guard`] of its end, or that was refused.
///
/// # Errors
/// That of the refusal, or those of the inner future. Polled after it has completed: [`Kind::Internal`].
///
/// # Cancel safety
/// Dropping it drops the inner call first, then the guard, which tells that the attempt was given up.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Guarded<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Admitted {
        #[pin]
        inner: F,
        guard: Option<Guard>,
    },
    Refused(Option<BoxError>),
}

// === impl Guarded ===

impl<F> Guarded<F> {
    /// A call that was let in.
    pub const fn admitted(inner: F, guard: Guard) -> Self {
        Self {
            state: State::Admitted {
                inner,
                guard: Some(guard),
            },
        }
    }

    /// A call that was not made.
    pub fn refused(error: impl Into<BoxError>) -> Self {
        Self {
            state: State::Refused(Some(error.into())),
        }
    }
}

impl<F, R, E> Future for Guarded<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, slot) = match self.project().state.project() {
            StateProj::Refused(error) => {
                return Poll::Ready(Err(error.take().unwrap_or_else(polled_after_end)));
            }
            StateProj::Admitted { inner, guard } => (inner, guard),
        };
        if slot.is_none() {
            return Poll::Ready(Err(polled_after_end()));
        }
        let result = ready!(inner.poll(cx)).map_err(Into::into);
        let Some(guard) = slot.take() else {
            return Poll::Ready(Err(polled_after_end()));
        };
        Poll::Ready(match result {
            Ok(response) => Ok(attach(response, guard)),
            Err(error) => {
                guard.finish(Some(&class_of_error(&error)), How::Failed);
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for Guarded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("refused", &matches!(self.state, State::Refused(_)))
            .finish_non_exhaustive()
    }
}

/// What a future that has completed answers when it is polled again.
pub(crate) fn polled_after_end() -> BoxError {
    Error::new(Kind::Internal)
        .with_detail("a future was polled after it had completed")
        .into()
}
