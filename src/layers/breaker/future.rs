//! The response future, and the body observer that hands the outcome in.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use pin_project::pin_project;

use super::{core::Outcome, handle::Permit};
use crate::{
    base::{
        BoxError, Error,
        error::{self, Origin},
    },
    body::{End, Observe, Observed},
    classify::{Class, Classified},
};

/// The future of a [`Breaker`](super::Breaker). Dropping it gives the permit back.
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Admitted {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    },
    Refused(Option<Error>),
}

/// Waits for the end of a response body and hands the outcome to the circuit.
#[derive(Debug)]
pub struct Watch {
    permit: Permit,
    classified: Option<Classified>,
    status: StatusCode,
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(inner: F, permit: Permit) -> Self {
        Self {
            state: State::Admitted {
                inner,
                permit: Some(permit),
            },
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(Some(error)),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: Body<Data = Bytes>,
    R::Error: 'static,
{
    type Output = Result<Response<Observed<R, Watch>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None => Poll::Pending,
            },
            StateProj::Admitted { inner, permit } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let Some(permit) = permit.take() else {
                    return Poll::Pending;
                };
                Poll::Ready(match result {
                    Ok(response) => Ok(watch(response, permit)),
                    Err(error) => {
                        permit.finish(of_error(error::find(&*error)));
                        Err(error)
                    }
                })
            }
        }
    }
}

// === impl Watch ===

impl<E: 'static> Observe<E> for Watch {
    fn end(self, how: End<'_, E>) {
        let class = self.classified.as_ref().and_then(Classified::end);
        let outcome = match (class, how) {
            (Some(class), _) => of_class(class),
            (None, End::Failed(error)) => of_error(error::find_any(error)),
            // Given up: the permit's drop decides.
            (None, End::Dropped) => return,
            (None, End::Complete) => self
                .classified
                .as_ref()
                .and_then(Classified::head)
                .map_or_else(|| of_status(self.status), of_class),
        };
        self.permit.finish(outcome);
    }
}

fn watch<R>(response: Response<R>, permit: Permit) -> Response<Observed<R, Watch>>
where
    R: Body<Data = Bytes>,
    R::Error: 'static,
{
    let watch = Watch {
        permit,
        classified: response.extensions().get().cloned(),
        status: response.status(),
    };
    response.map(|body| Observed::new(body, watch))
}

fn of_class(class: &Class) -> Outcome {
    if class.is_success() {
        Outcome::Success
    } else if class.blames_target() {
        Outcome::Failure
    } else {
        Outcome::Neutral
    }
}

fn of_status(status: StatusCode) -> Outcome {
    if status.is_server_error() {
        Outcome::Failure
    } else if status.is_client_error() {
        Outcome::Neutral
    } else {
        Outcome::Success
    }
}

/// An error that is none of ours comes from the transport: the target's.
fn of_error(error: Option<&Error>) -> Outcome {
    match error.map(|e| e.kind().origin()) {
        None | Some(Origin::Upstream) => Outcome::Failure,
        Some(Origin::Local | Origin::Downstream) => Outcome::Neutral,
    }
}
