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
    BoxError, Called, Error, Kind, SharedRng,
    ext::{OurKey, Record, RouteMeta},
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

/// [`Route`] over a table that holds a service for each destination: the request goes to a clone of the one that is drawn.
/// Always ready; the future waits until the clone is.
///
/// # Errors
/// As [`Route`]'s.
#[derive(Debug)]
pub struct Router<S> {
    table: Arc<Table<S>>,
    rng: SharedRng,
}

/// What `decide` leaves to be done.
enum Next<'t, B, T> {
    Forward(Request<B>, &'t T, Option<ResponseOps>),
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
        match decide(&self.table, &self.rng, request) {
            Ok(Next::Forward(request, (), ops)) => {
                ResponseFuture::upstream(self.inner.call(request), ops)
            }
            Ok(Next::Answer(answer)) => ResponseFuture::ready(Ok(answer)),
            Err(error) => ResponseFuture::ready(Err(error)),
        }
    }
}

// === impl Router ===

impl<S> Router<S> {
    /// Routes by this table.
    #[must_use]
    pub const fn new(table: Arc<Table<S>>, rng: SharedRng) -> Self {
        Self { table, rng }
    }
}

impl<S> Clone for Router<S> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            rng: self.rng.clone(),
        }
    }
}

impl<S, B, R> Service<Request<B>> for Router<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<Called<S, Request<B>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match decide(&self.table, &self.rng, request) {
            Ok(Next::Forward(request, to, ops)) => {
                ResponseFuture::upstream(Called::new(to.clone(), request), ops)
            }
            Ok(Next::Answer(answer)) => ResponseFuture::ready(Ok(answer)),
            Err(error) => ResponseFuture::ready(Err(error)),
        }
    }
}

/// Decides, and changes the request accordingly.
fn decide<'t, B, T>(
    table: &'t Table<T>,
    rng: &SharedRng,
    request: Request<B>,
) -> Result<Next<'t, B, T>, Error> {
    let view = RequestView::new(&request);
    let found = match table.find(&view) {
        Outcome::Route(found) => found,
        Outcome::NoHost => return Err(Kind::BadRequest.into()),
        Outcome::UnknownHost => {
            note(&request, &RouteMeta::block_all());
            return Err(Error::unknown_host(view.host()));
        }
        Outcome::NoRoute { .. } => return Err(Kind::NoRoute.into()),
    };
    let drawn = found.draw(rng);
    let meta = found.meta(drawn.as_ref().map(|drawn| drawn.destination));
    note(&request, &meta);
    let (status, body, location) = match &found.route.action {
        Action::Direct { status, body, .. } => (*status, body.clone(), None),
        Action::Redirect(redirect) => {
            let location = rewrite::location(redirect, &view)?;
            (redirect.status, Bytes::new(), Some(location))
        }
        Action::Forward(forward) => {
            let drawn = drawn.ok_or_else(|| Error::new(Kind::NoCluster))?;
            let destination = drawn.position;
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
            return Ok(Next::Forward(
                Request::from_parts(head, body),
                drawn.target,
                ops,
            ));
        }
    };
    detail(&request, "direct_response");
    let (mut head, _) = request.into_parts();
    head.extensions.insert(meta);
    let ops = ResponseOps::new(found.route, 0, &head);
    Ok(Next::Answer(answer(status, body, location, ops.as_ref())))
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
