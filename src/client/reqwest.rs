//! `reqwest::Client` as a service, and reqwest's types to `http`'s and back.
//!
//! reqwest has request, response and body types of its own; [`ReqwestClient`] takes `http::Request` and gives
//! `http::Response`, so that layers go over it. Its request bodies must be `Sync`; [`body()`] makes any body so.
//!
//! Build the client with `.retry(reqwest::retry::never())` below a retry layer: it repeats some requests by itself, unseen
//! by budgets and counters. It also follows redirects, unless told not to.
//!
//! The service is generic over the body, so `ServiceExt::ready` cannot infer its request type; use `oneshot`.
//!
//! # Examples
//! ```no_run
//! use std::time::Duration;
//!
//! use llmesh::{body::Body, client::reqwest::ReqwestClient, deadline::{self, DeadlineLayer}};
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! # async fn run() -> Result<(), llmesh::base::BoxError> {
//! let client = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(deadline::Params::default().with_timeout(Duration::from_secs(30))))
//!     .service(ReqwestClient::new(reqwest::Client::new()));
//! let request = http::Request::get("http://localhost:8080/").body(Body::empty())?;
//! let response = client.oneshot(request).await?;
//! # drop(response);
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project::pin_project;
use reqwest::ResponseBuilderExt;
use tower::Service;

use super::hyper::unmade;
use crate::{
    base::{BoxError, Error, Kind, ext::Deadline, time::Instant},
    body::{self, Body},
};

/// A `reqwest::Client` that takes `http::Request`s. Clones share the pool.
///
/// URIs must be absolute.
///
/// # Errors
/// reqwest's, under an [`Error`] of kind [`Kind::Connect`] where no connection was made and of kind
/// [`Kind::AttemptTimeout`] where the client's own timeout passed; [`Kind::BadRequest`] for a URI that is no URL.
///
/// # Cancel safety
/// Dropping a future gives its HTTP/1 connection up, or resets its stream.
#[derive(Clone, Debug)]
pub struct ReqwestClient(reqwest::Client);

/// Future of [`ReqwestClient`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(#[pin] State);

#[pin_project(project = StateProj)]
enum State {
    Sent(#[pin] <reqwest::Client as Service<reqwest::Request>>::Future),
    Refused(Option<Error>),
}

/// A body that other threads may hold a reference to; they never contend for the lock.
struct Shared<B>(Mutex<Pin<Box<B>>>);

// === impl ReqwestClient ===

impl ReqwestClient {
    /// Wraps a client.
    #[must_use]
    pub const fn new(client: reqwest::Client) -> Self {
        Self(client)
    }

    /// The client.
    #[must_use]
    pub const fn get_ref(&self) -> &reqwest::Client {
        &self.0
    }
}

impl From<reqwest::Client> for ReqwestClient {
    fn from(client: reqwest::Client) -> Self {
        Self::new(client)
    }
}

impl<B> Service<Request<B>> for ReqwestClient
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<reqwest::Body>;
    type Error = BoxError;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::poll_ready(&mut self.0, cx).map_err(named)
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ResponseFuture(match to_reqwest(request) {
            Ok(request) => State::Sent(self.0.call(request)),
            Err(error) => State::Refused(Some(error)),
        })
    }
}

// === impl ResponseFuture ===

impl Future for ResponseFuture {
    type Output = Result<Response<reqwest::Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Sent(sent) => sent.poll(cx).map_ok(Into::into).map_err(named),
            StateProj::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None => Poll::Pending,
            },
        }
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl Shared ===

impl<B> HttpBody for Shared<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        body.as_mut()
            .poll_frame(cx)
            .map(|frame| frame.map(|f| f.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        body.size_hint()
    }
}

// === free functions ===

/// Any body as reqwest's. It streams; nothing is read ahead.
pub fn body<B>(body: B) -> reqwest::Body
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    if body.is_end_stream() {
        return reqwest::Body::default();
    }
    reqwest::Body::wrap(Shared(Mutex::new(Box::pin(body))))
}

/// A request for reqwest to send.
///
/// # Errors
/// [`Kind::BadRequest`] if the URI is not absolute.
pub fn to_reqwest<B>(request: Request<B>) -> Result<reqwest::Request, Error>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let empty = request.body().is_end_stream();
    let mut request = reqwest::Request::try_from(request.map(body))
        .map_err(|e| Error::new(Kind::BadRequest).with_source(e))?;
    if empty {
        *request.body_mut() = None;
    }
    Ok(request)
}

/// A request built with reqwest. Its timeout becomes a [deadline](body::Context::deadline) that counts from `now`.
///
/// # Errors
/// [`Kind::BadRequest`] if the URL is no URI.
pub fn from_reqwest(request: reqwest::Request, now: Instant) -> Result<Request<Body>, Error> {
    let limit = request.timeout().and_then(|limit| now.checked_add(*limit));
    let request = Request::<reqwest::Body>::try_from(request)
        .map_err(|e| Error::new(Kind::BadRequest).with_source(e))?;
    let mut request = request.map(Body::new);
    if let Some(at) = limit {
        body::Context::edit(&mut request, |context| context.shorten(Deadline(at)));
    }
    Ok(request)
}

/// A response as reqwest gives it. `url` is what it was asked for.
#[must_use]
pub fn to_response<B>(response: Response<B>, url: reqwest::Url) -> reqwest::Response
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut response = response.map(body);
    let asked = http::response::Builder::new().url(url);
    if let Some(extensions) = asked.extensions_ref() {
        response.extensions_mut().extend(extensions.clone());
    }
    response.into()
}

/// What reqwest does not show in its sources.
fn named(error: reqwest::Error) -> BoxError {
    if error.is_connect() {
        unmade(error)
    } else if error.is_timeout() {
        Error::new(Kind::AttemptTimeout).with_source(error).into()
    } else {
        error.into()
    }
}
