//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body::Body;
use pin_project::pin_project;
use tower::{Service, util::Oneshot};

use super::flight::{Flight, Watch};
use crate::{
    base::{BoxError, Error, ext::EndpointRef},
    body::{BoxErrors, Observed, box_errors},
};

/// The future of a [`Balance`](super::Balance). Dropping it ends the attempt.
#[pin_project]
pub struct ResponseFuture<S: Service<Request<B>>, B> {
    #[pin]
    state: State<S, B>,
}

#[pin_project(project = StateProj)]
#[expect(clippy::large_enum_variant, reason = "the large one is the usual one")]
enum State<S: Service<Request<B>>, B> {
    Flying {
        #[pin]
        inner: Oneshot<S, Request<B>>,
        flight: Option<Flight>,
        set_cookie: Option<HeaderValue>,
    },
    Refused(Option<Error>),
}

// === impl ResponseFuture ===

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(super) fn flying(
        inner: Oneshot<S, Request<B>>,
        flight: Flight,
        set_cookie: Option<HeaderValue>,
    ) -> Self {
        Self {
            state: State::Flying {
                inner,
                flight: Some(flight),
                set_cookie,
            },
        }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self {
            state: State::Refused(Some(error)),
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
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
            StateProj::Flying {
                inner,
                flight,
                set_cookie,
            } => {
                let result = ready!(inner.poll(cx)).map_err(Into::into);
                let Some(flight) = flight.take() else {
                    return Poll::Pending;
                };
                let (mut head, body) = match result {
                    Ok(response) => response.into_parts(),
                    Err(error) => {
                        flight.failed(&error);
                        return Poll::Ready(Err(error));
                    }
                };
                let address = flight.endpoint().address();
                head.extensions.insert(EndpointRef(address));
                if let Some(cookie) = set_cookie.take() {
                    head.headers.append(header::SET_COOKIE, cookie);
                }
                let watch = flight.head(&head);
                let body = Observed::new(box_errors(body), watch);
                Poll::Ready(Ok(Response::from_parts(head, body)))
            }
        }
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
