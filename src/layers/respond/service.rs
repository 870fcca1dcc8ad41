//! The service that never fails.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service};

use super::{
    asked::{AnswersTo, Rules},
    response::{Answered, type_text},
};
#[cfg(feature = "llm")]
use crate::llm::DialectMode;
use crate::{
    base::{BoxError, ext::Record},
    body::Body,
};

/// Turns the errors of a service into responses.
#[derive(Clone, Copy, Debug, Default)]
pub struct RespondLayer {
    rules: Rules,
}

/// A service whose errors are responses. Those that a route below has made ([`InRouteLayer`](super::InRouteLayer)) pass.
///
/// It notes the flag and details of an error in the request's [`Record`], if there is one. An error that holds no
/// [`Error`](crate::base::Error) of this crate is a 500.
#[derive(Debug)]
pub struct Respond<S> {
    inner: S,
    rules: Rules,
    /// The inner service failed to become ready: the next call is answered with this.
    failed: Option<BoxError>,
}

/// The response future of [`Respond`].
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
    to: AnswersTo,
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
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whose API the callers speak: [`DialectMode::Auto`], the default, sees it from each request,
    /// [`DialectMode::StatusOnly`] leaves every answer as Envoy's.
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn with_dialect(mut self, setting: DialectMode) -> Self {
        self.rules.setting = setting;
        self
    }

    /// Sets whether answers to LLM calls carry `x-llmesh-*` headers. A route may forbid it too.
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn with_headers(mut self, headers: bool) -> Self {
        self.rules.headers = headers;
        self
    }
}

impl<S> Layer<S> for RespondLayer {
    type Service = Respond<S>;

    fn layer(&self, inner: S) -> Respond<S> {
        Respond {
            rules: self.rules,
            ..Respond::new(inner)
        }
    }
}

// === impl Respond ===

impl<S> Respond<S> {
    /// Answers for the errors of `inner`.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            rules: Rules::default(),
            failed: None,
        }
    }
}

impl<S: Clone> Clone for Respond<S> {
    fn clone(&self) -> Self {
        Self {
            rules: self.rules,
            ..Self::new(self.inner.clone())
        }
    }
}

impl<S, B, R> Service<Request<B>> for Respond<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: 'static,
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let to = AnswersTo::of(self.rules, &mut request);
        request.extensions_mut().insert(to);
        let record = request.extensions().get::<Record>().cloned();
        let state = match self.failed.take() {
            None => State::Called(self.inner.call(request)),
            Some(error) => State::Failed(Some(error)),
        };
        ResponseFuture { state, to, record }
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
        let result = match this.state.project() {
            StateProj::Called(future) => ready!(future.poll(cx))
                .map(|response| response.map(Body::new))
                .map_err(|error| Some(error.into())),
            StateProj::Failed(error) => Err(error.take()),
        };
        let (mut response, local) = match result {
            Ok(mut response) => match response.extensions_mut().remove::<Answered>() {
                Some(Answered { local }) => (response, local),
                None => (this.to.respond(Ok(response), this.record.as_ref()), false),
            },
            Err(error) => (this.to.respond(Err(error), this.record.as_ref()), true),
        };
        if local {
            type_text(&mut response);
        }
        Poll::Ready(Ok(response))
    }
}
