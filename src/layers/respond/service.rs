//! The service that never fails.

use std::{
    convert::Infallible,
    error::Error as _,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service};

#[cfg(feature = "llm")]
use super::caller::{Caller, Rules, Sender};
use super::{
    answer::{Answer, answer, grpc_status},
    limits, refusal,
    wait::whole_seconds,
};
#[cfg(feature = "llm")]
use crate::llm::DialectMode;
use crate::{
    base::{BoxError, Error, Kind, error, ext::Record, hops, quota::X_SHOULD_RETRY},
    body::Body,
    classify::class_of_response,
};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Turns the errors of a service into responses.
#[derive(Clone, Copy, Debug, Default)]
pub struct RespondLayer {
    rules: Rules,
}

/// A service whose errors are responses.
///
/// It notes the flag and details of an error in the request's [`Record`], if there is one. An error that holds no
/// [`Error`] of this crate is a 500.
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
    grpc: bool,
    /// Whether the caller is a hop of a mesh.
    hop: bool,
    record: Option<Record>,
    sender: Option<Sender>,
}

/// Without LLM dialects nobody is a caller of one.
#[cfg(not(feature = "llm"))]
#[derive(Clone, Debug)]
enum Sender {}

/// See [`Sender`].
#[cfg(not(feature = "llm"))]
#[derive(Clone, Debug)]
enum Caller {}

/// Without LLM dialects there are no rules for them.
#[cfg(not(feature = "llm"))]
#[derive(Clone, Copy, Debug, Default)]
struct Rules {}

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

    /// Sets whether answers to LLM calls carry `x-llmesh-*` headers. A request's [`Record`] may forbid it too.
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
        let grpc = is_grpc(request.headers());
        let hop = hops::is_from_hop(request.headers());
        let sender = if grpc {
            None
        } else {
            Sender::of(self.rules, &mut request)
        };
        let record = request.extensions().get::<Record>().cloned();
        let state = match self.failed.take() {
            None => State::Called(self.inner.call(request)),
            Some(error) => State::Failed(Some(error)),
        };
        ResponseFuture {
            state,
            grpc,
            hop,
            record,
            sender,
        }
    }
}

// === impl Sender ===

#[cfg(not(feature = "llm"))]
impl Sender {
    fn of<B>(_: Rules, _: &mut Request<B>) -> Option<Self> {
        None
    }

    fn caller(&self) -> Option<Caller> {
        match *self {}
    }
}

// === impl Caller ===

#[cfg(not(feature = "llm"))]
impl Caller {
    fn response(&self, _: Response<Body>) -> Response<Body> {
        match *self {}
    }

    fn error(
        &self,
        _: Option<&BoxError>,
        _: &Answer,
        _: &mut HeaderMap,
    ) -> Option<(StatusCode, Body)> {
        match *self {}
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
                Ok(response) => {
                    let response = response.map(Body::new);
                    let caller = this.sender.as_ref().and_then(Sender::caller);
                    let failed = *this.hop && !class_of_response(&response).is_success();
                    let mut response = match &caller {
                        Some(caller) => caller.response(response),
                        None => response,
                    };
                    #[cfg(feature = "llm")]
                    refusal::hide(&mut response, this.record.as_ref(), caller.as_ref());
                    if failed {
                        say_final(&mut response, this.record.as_ref());
                    }
                    return Poll::Ready(Ok(response));
                }
                Err(error) => Some(error.into()),
            },
            StateProj::Failed(error) => error.take(),
        };
        let (record, caller) = (
            this.record.as_ref(),
            this.sender.as_ref().and_then(Sender::caller),
        );
        let mut answer = respond(error.as_ref(), record, *this.grpc, caller.as_ref());
        if *this.hop {
            say_final(&mut answer, record);
        }
        Poll::Ready(Ok(answer))
    }
}

// === free functions ===

/// Why there was no connection, or none of use, for the log.
fn transport_failure(error: &Error) -> Option<String> {
    let told = matches!(error.kind(), Kind::Connect(_) | Kind::UpstreamProtocol);
    let mut source = error.source().filter(|_| told)?;
    // What is below says more than what is above.
    while let Some(below) = source.source() {
        source = below;
    }
    Some(source.to_string())
}

/// The response to an error; `None` is an error that this crate does not know.
fn respond(
    raised: Option<&BoxError>,
    record: Option<&Record>,
    grpc: bool,
    caller: Option<&Caller>,
) -> Response<Body> {
    let error = raised.and_then(|e| error::find(e.as_ref()));
    let kind = error.map_or(Kind::Internal, Error::kind);
    let retried = record.is_some_and(|r| r.note(|n| n.attempts > 1));
    let mut answer = answer(kind, retried);
    if let Some(text) = error.and_then(limits::text) {
        answer.body = text.into();
    }
    let mut headers = HeaderMap::new();
    if let Some(error) = error {
        refusal::write(error, &mut answer, &mut headers);
    }
    if let Some(record) = record {
        if let Some(flag) = answer.flag {
            record.flag(flag);
        }
        record.note(|n| {
            n.details = Some(answer.details.clone().into_owned());
            n.transport_failure = error.and_then(transport_failure);
        });
    }

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
    let bodiless = matches!(
        answer.status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    );
    let told = caller
        .filter(|_| !bodiless)
        .and_then(|caller| caller.error(raised, &answer, &mut headers));
    #[cfg(feature = "llm")]
    let told = told.or_else(|| refusal::body(error.filter(|_| !grpc), &answer, &mut headers));
    if let Some((status, body)) = told {
        *response.status_mut() = status;
        *response.body_mut() = body;
    } else if grpc {
        write_grpc(&answer, &mut headers);
    } else {
        *response.status_mut() = answer.status;
        if !answer.body.is_empty() && !bodiless {
            *response.body_mut() = answer.body.into_owned().into();
        }
    }
    // A route's response header operations apply to local replies too, and may say what a text is.
    if let Some(finish) = record.and_then(|r| r.note(|n| n.finish.clone())) {
        finish.apply(response.status(), &mut headers);
    }
    if !response.body().is_end_stream() {
        let entry = headers.entry(CONTENT_TYPE);
        entry.or_insert(HeaderValue::from_static("text/plain"));
    }
    *response.headers_mut() = headers;
    response
}

/// Tells the hop above that no repetition is left here, unless it is told when to come back.
fn say_final(response: &mut Response<Body>, record: Option<&Record>) {
    let ended = record.and_then(|record| record.note(|n| n.ended));
    let headers = response.headers_mut();
    let back = headers.get(X_SHOULD_RETRY).is_some_and(|v| v == "true");
    if let Some(why) = ended.filter(|_| !back) {
        hops::mark_final(headers, why);
    }
}

/// `application/grpc`, alone or with a `+codec` or parameter. Not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.as_bytes().strip_prefix(b"application/grpc"))
        .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// A trailers-only answer.
fn write_grpc(answer: &Answer, headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, grpc_status(answer.status).into());
    if !answer.body.is_empty()
        && let Ok(message) = HeaderValue::try_from(&*answer.body)
    {
        headers.insert(GRPC_MESSAGE, message);
    }
}
