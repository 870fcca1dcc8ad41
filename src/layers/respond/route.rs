//! The same inside of a route, where its policy is known.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service};

use super::{asked::AnswersTo, response::Answered};
use crate::{
    base::{BoxError, ext::Record},
    body::Body,
};

/// Turns errors into responses where that is done above ([`RespondLayer`](super::RespondLayer)), as the route has said in the
/// request's [`AnswersTo`]. Where nobody does that above, errors stay errors.
#[derive(Clone, Copy, Debug, Default)]
pub struct InRouteLayer;

/// See [`InRouteLayer`].
#[derive(Clone, Debug)]
pub struct InRoute<S>(S);

/// The response future of [`InRoute`].
#[pin_project]
#[derive(Debug)]
pub struct InRouteFuture<F> {
    #[pin]
    inner: F,
    to: Option<AnswersTo>,
    record: Option<Record>,
}

impl<S> Layer<S> for InRouteLayer {
    type Service = InRoute<S>;

    fn layer(&self, inner: S) -> InRoute<S> {
        InRoute(inner)
    }
}

impl<S, B, R> Service<Request<B>> for InRoute<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = InRouteFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let extensions = request.extensions_mut();
        InRouteFuture {
            to: extensions.remove::<AnswersTo>(),
            record: extensions.get::<Record>().cloned(),
            inner: self.0.call(request),
        }
    }
}

impl<F, R, E> Future for InRouteFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx)).map(|response| response.map(Body::new));
        let result = result.map_err(Into::into);
        let Some(to) = this.to.take() else {
            return Poll::Ready(result);
        };
        let local = result.is_err();
        let mut response = to.respond(result.map_err(Some), this.record.as_ref());
        response.extensions_mut().insert(Answered { local });
        Poll::Ready(Ok(response))
    }
}
