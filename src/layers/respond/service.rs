//! The service that never fails.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service};

use super::{
    answer::{answer, grpc_status},
    limits,
};
use crate::{
    base::{BoxError, Error, Kind, error, ext::Record},
    body::Body,
};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Turns the errors of a service into responses.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RespondLayer;

/// A service whose errors are responses.
///
/// It notes the flag and details of an error in the request's [`Record`], if there is one. An error that holds no
/// [`Error`] of this crate is a 500.
#[derive(Debug)]
pub struct Respond<S> {
    inner: S,
    /// The inner service failed to become ready: the next call is answered with this.
    failed: Option<BoxError>,
}

/// The response future of [`Respond`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    grpc: bool,
    record: Option<Record>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Called(#[pin] F),
    Failed(Option<BoxError>),
}

// === impl RespondLayer ===

impl RespondLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond::new(inner)
    }
}

// === impl Respond ===

impl<S> Respond<S> {
    /// Answers for the errors of `inner`.
    pub const fn new(inner: S) -> Self {
        Self {
            inner,
            failed: None,
        }
    }
}

impl<S: Clone> Clone for Respond<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S, B, R> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.failed = ready!(self.inner.poll_ready(cx)).err().map(Into::into);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let grpc = is_grpc(request.headers());
        let record = request.extensions().get::<Record>().cloned();
        let state = match self.failed.take() {
            None => State::Called(self.inner.call(request)),
            Some(error) => State::Failed(Some(error)),
        };
        ResponseFuture {
            state,
            grpc,
            record,
        }
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let error = match this.state.project() {
            StateProj::Called(future) => match ready!(future.poll(cx)) {
                Ok(response) => return Poll::Ready(Ok(response.map(Body::new))),
                Err(error) => Some(error.into()),
            },
            StateProj::Failed(error) => error.take(),
        };
        let error = error.as_deref().and_then(|e| error::find(e));
        Poll::Ready(Ok(respond(error, this.record.as_ref(), *this.grpc)))
    }
}

// === free functions ===

/// The response to an error; `None` is an error that this crate does not know.
fn respond(error: Option<&Error>, record: Option<&Record>, grpc: bool) -> Response<Body> {
    let kind = error.map_or(Kind::Internal, Error::kind);
    let retried = record.is_some_and(|r| r.note(|n| n.attempts > 1));
    let answer = answer(kind, retried);
    if let Some(record) = record {
        if let Some(flag) = answer.flag {
            record.flag(flag);
        }
        record.note(|n| n.details = Some(answer.details.clone().into_owned()));
    }

    let mut headers = HeaderMap::new();
    if answer.overloaded {
        headers.insert(OVERLOADED, HeaderValue::from_static("true"));
    }
    if let Some(wait) = error.and_then(Error::retry_after) {
        headers.insert(RETRY_AFTER, whole_seconds(wait).into());
    }
    if let Some(error) = error {
        limits::write(error, &mut headers);
    }
    let mut response = Response::new(Body::empty());
    if grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(GRPC_STATUS, grpc_status(answer.status).into());
        if !answer.body.is_empty()
            && let Ok(message) = HeaderValue::try_from(&*answer.body)
        {
            headers.insert(GRPC_MESSAGE, message);
        }
    } else {
        *response.status_mut() = answer.status;
        let bodiless = matches!(
            answer.status,
            StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
        );
        if !answer.body.is_empty() && !bodiless {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            *response.body_mut() = answer.body.into_owned().into();
        }
    }
    // A route's response header operations apply to local replies too.
    if let Some(finish) = record.and_then(|r| r.note(|n| n.finish.clone())) {
        finish.apply(&mut headers);
    }
    *response.headers_mut() = headers;
    response
}

/// `application/grpc`, alone or with a `+codec` or parameter. Not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// Rounded up: a caller that comes back early is refused again.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
}
