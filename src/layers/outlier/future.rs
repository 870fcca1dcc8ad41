//! The response future, and the body observer that counts what comes after the head.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project::pin_project;

use super::{
    group::{Group, Membership},
    phases::{self, Phases},
    seen::Observation,
};
use crate::{
    base::{BoxError, Error, ext::CancelReason},
    body::{BoxErrors, End, Observe, Observed, box_errors},
    classify::transport::class_of_error,
};

/// The future of an [`Outlier`](super::Outlier).
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
        attempt: Attempt,
    },
    Refused(Option<Error>),
}

/// Counts once: at the head, at the error or at the drop.
#[derive(Debug)]
pub(super) struct Attempt {
    target: Option<(Group, Arc<Membership>)>,
    given_up: Option<CancelReason>,
}

/// Watches a response body for the member's sake.
#[derive(Debug)]
pub struct Watch {
    group: Group,
    member: Arc<Membership>,
    phases: Phases,
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(inner: F, attempt: Attempt) -> Self {
        Self {
            state: State::Admitted { inner, attempt },
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
            StateProj::Admitted { inner, attempt } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let Some((group, member)) = attempt.target.take() else {
                    return Poll::Pending;
                };
                let response = result.inspect_err(|error| {
                    let class = class_of_error(error);
                    record(&group, &member, Observation::of_class(&class));
                })?;
                let (head, body) = response.into_parts();
                let mut phases = Phases::new(&head);
                record(&group, &member, phases.seen_at_head());
                let watch = Watch {
                    group,
                    member,
                    phases,
                };
                let body = Observed::new(box_errors(body), watch);
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
        }
    }
}

// === impl Attempt ===

impl Attempt {
    pub(super) fn new(
        group: Group,
        member: Arc<Membership>,
        given_up: Option<CancelReason>,
    ) -> Self {
        Self {
            target: Some((group, member)),
            given_up,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some((group, member)) = self.target.take() {
            let class = phases::of_drop(self.given_up.as_ref());
            record(
                &group,
                &member,
                class.as_ref().and_then(Observation::of_class),
            );
        }
    }
}

// === impl Watch ===

impl Observe<BoxError> for Watch {
    fn end(self, how: End<'_, BoxError>) {
        let class = self.phases.end(&how);
        let seen = self.phases.seen_at_end(&how, class.as_ref());
        record(&self.group, &self.member, seen);
    }
}

fn record(group: &Group, member: &Membership, seen: Option<Observation>) {
    if let Some(seen) = seen {
        group.record(member, seen);
    }
}
