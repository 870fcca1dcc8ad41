//! The tower service: decide, change the request, pass it on.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tower::Service;

use super::{
    future::{ResponseBody, ResponseFuture, ResponseOps},
    matcher::RequestView,
    params::Action,
    rewrite,
    table::{Outcome, Table},
};
use crate::base::{
    BoxError, Error, Kind, SharedRng,
    ext::{Finish, OurKey, Record, RouteMeta},
};

/// Finds a request's route and destination, notes them as [`RouteMeta`], applies the route's rewrite and header
/// operations and calls the inner service.
///
/// Redirects and direct responses are answered here, without the inner service. It holds no state: dropping its future
/// drops the inner one's, and nothing else.
///
/// # Errors
/// [`Kind::BadRequest`] for a request without a host (or with two), [`Kind::UnknownHost`], [`Kind::NoRoute`],
/// [`Kind::NoCluster`] if the route has no destination to draw; else the inner service's.
#[derive(Clone, Debug)]
pub struct Route<S> {
    inner: S,
    table: Arc<Table>,
    rng: SharedRng,
}

/// What `decide` leaves to be done.
enum Next<B> {
    Forward(Request<B>, Option<ResponseOps>),
    Answer(Response<Full<Bytes>>),
}

// === impl Route ===

impl<S> Route<S> {
    /// Wraps a service.
    #[must_use]
    pub fn new(inner: S, table: Arc<Table>, rng: SharedRng) -> Self {
        Self { inner, table, rng }
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// Decides, and changes the request accordingly.
    fn decide<B>(&self, request: Request<B>) -> Result<Next<B>, Error> {
        let view = RequestView::new(&request);
        let found = match self.table.find(&view) {
            Outcome::Route(found) => found,
            Outcome::NoHost => return Err(Kind::BadRequest.into()),
            Outcome::UnknownHost => {
                note(&request, &RouteMeta::block_all());
                return Err(Error::unknown_host(view.host()));
            }
            Outcome::NoRoute { .. } => return Err(Kind::NoRoute.into()),
        };
        let drawn = found.draw(&self.rng);
        let meta = found.meta(drawn);
        note(&request, &meta);
        let (status, body, location) = match &found.route.action {
            Action::Direct { status, body, .. } => (*status, body.clone(), None),
            Action::Redirect(redirect) => {
                let location = rewrite::location(redirect, &view)?;
                (redirect.status, Bytes::new(), Some(location))
            }
            Action::Forward(forward) => {
                let (destination, _) = drawn.ok_or_else(|| Error::new(Kind::NoCluster))?;
                let (mut head, body) = request.into_parts();
                head.extensions.insert(meta);
                rewrite::apply_request(forward, found.matched, destination, &mut head)?;
                if rewrite::key_headers(forward, destination).next().is_some() {
                    head.extensions.insert(OurKey);
                    if let Some(record) = head.extensions.get::<Record>() {
                        record.note(|n| n.our_key = true);
                    }
                }
                let ops = ResponseOps::new(found.route, destination, &head);
                // Whoever makes a response from an error stands outside.
                if let (Some(ops), Some(record)) = (ops.clone(), head.extensions.get::<Record>()) {
                    let finish = Finish::new(move |status, headers| ops.apply(status, headers));
                    record.note(|n| n.finish = Some(finish));
                }
                return Ok(Next::Forward(Request::from_parts(head, body), ops));
            }
        };
        detail(&request, "direct_response");
        let (mut head, _) = request.into_parts();
        head.extensions.insert(meta);
        let ops = ResponseOps::new(found.route, 0, &head);
        Ok(Next::Answer(answer(status, body, location, ops.as_ref())))
    }
}

impl<S, B, R> Service<Request<B>> for Route<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.decide(request) {
            Ok(Next::Forward(request, ops)) => {
                ResponseFuture::upstream(self.inner.call(request), ops)
            }
            Ok(Next::Answer(answer)) => ResponseFuture::ready(Ok(answer)),
            Err(error) => ResponseFuture::ready(Err(error)),
        }
    }
}

/// As Envoy's local replies: the route's operations come before the content type, which is plain text unless they give
/// one, and which an empty body has not.
fn answer(
    status: StatusCode,
    body: Bytes,
    location: Option<HeaderValue>,
    ops: Option<&ResponseOps>,
) -> Response<Full<Bytes>> {
    let mut headers = HeaderMap::new();
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if let Some(ops) = ops {
        ops.apply(status, &mut headers);
    }
    if body.is_empty() {
        headers.remove(header::CONTENT_TYPE);
    } else if !headers.contains_key(header::CONTENT_TYPE) {
        let plain = HeaderValue::from_static("text/plain");
        headers.insert(header::CONTENT_TYPE, plain);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn note<B>(request: &Request<B>, meta: &RouteMeta) {
    if let Some(record) = request.extensions().get::<Record>() {
        record.note(|n| n.route = Some(meta.clone()));
    }
}

fn detail<B>(request: &Request<B>, details: &str) {
    if let Some(record) = request.extensions().get::<Record>() {
        record.note(|n| n.details = Some(details.to_owned()));
    }
}
