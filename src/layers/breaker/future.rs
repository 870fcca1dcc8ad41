//! The response future, and the body observer that hands the outcome in.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{core::Outcome, handle::Permit};
use crate::{
    base::{BoxError, Error},
    body::{BoxErrors, End, Observe, Observed, box_errors},
    classify::{
        self, Class, Classified,
        http::{class_of_head, signal},
        transport::{class_of_body_error, class_of_error},
    },
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
    /// What is known at the head: by status alone, where there is no classifier below.
    plain: Outcome,
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
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Observed<BoxErrors<R>, Watch>>, BoxError>;

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
                        permit.finish(of_class(&class_of_error(&error)));
                        Err(error)
                    }
                })
            }
        }
    }
}

// === impl Watch ===

impl Observe<BoxError> for Watch {
    fn end(self, how: End<'_, BoxError>) {
        let class = self.classified.as_ref().and_then(Classified::end);
        let outcome = match (class, how) {
            // Given up: the permit's drop decides.
            (Some(class), End::Dropped) if class.outcome == classify::Outcome::Cancelled => return,
            (None, End::Dropped) => return,
            (Some(class), _) => of_class(class),
            (None, End::Failed(error)) => of_class(&class_of_body_error(error)),
            (None, End::Complete) => self
                .classified
                .as_ref()
                .and_then(Classified::head)
                .map_or(self.plain, of_class),
        };
        self.permit.finish(outcome);
    }
}

fn watch<R>(response: Response<R>, permit: Permit) -> Response<Observed<BoxErrors<R>, Watch>>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    let classified = head.extensions.get::<Classified>().cloned();
    let plain = match classified.as_ref().and_then(Classified::head) {
        Some(class) => of_class(class),
        None => of_class(&class_of_head(signal(&head))),
    };
    let watch = Watch {
        permit,
        classified,
        plain,
    };
    Response::from_parts(head, Observed::new(box_errors(body), watch))
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
