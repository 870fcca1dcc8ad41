//! The named response future.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, request::Parts};
use http_body_util::{Either, Full};
use pin_project::pin_project;

use super::{
    headers::{self, Seen, Side},
    params::Route,
    rewrite,
};
use crate::base::{BoxError, Error};

/// The upstream's body, or that of an answer made here.
pub type ResponseBody<R> = Either<R, Full<Bytes>>;

/// Future of a [`Route`](super::Route) service.
#[pin_project]
#[derive(Debug)]
pub struct ResponseFuture<F> {
    #[pin]
    state: State<F>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Upstream {
        #[pin]
        future: F,
        ops: Option<ResponseOps>,
    },
    Ready(Option<Result<Response<Full<Bytes>>, Error>>),
}

/// The response header operations that wait for the response: kept by their route, which a reload cannot take away.
#[derive(Clone, Debug)]
pub(super) struct ResponseOps {
    route: Arc<Route>,
    destination: usize,
    /// The request, where a value is made from it.
    seen: Option<Arc<Seen>>,
}

// === impl ResponseOps ===

impl ResponseOps {
    /// `None` if there is nothing to do.
    pub(super) fn new(route: &Arc<Route>, destination: usize, head: &Parts) -> Option<Self> {
        let levels = rewrite::response_ops(route, destination);
        if levels.iter().all(rewrite::is_empty) {
            return None;
        }
        let templates = levels.iter().flatten().any(Side::has_templates);
        Some(Self {
            route: Arc::clone(route),
            destination,
            seen: templates.then(|| Arc::new(Seen::of(head))),
        })
    }

    pub(super) fn apply(&self, status: StatusCode, headers: &mut HeaderMap) {
        for level in &rewrite::response_ops(&self.route, self.destination) {
            match &self.seen {
                Some(seen) => seen.respond(level, status, headers),
                None => headers::respond(level, status, headers),
            }
        }
    }
}

// === impl ResponseFuture ===

impl<F> ResponseFuture<F> {
    pub(super) fn upstream(future: F, ops: Option<ResponseOps>) -> Self {
        Self {
            state: State::Upstream { future, ops },
        }
    }

    pub(super) fn ready(result: Result<Response<Full<Bytes>>, Error>) -> Self {
        Self {
            state: State::Ready(Some(result)),
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<R>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Upstream { future, ops } => {
                let mut response = ready!(future.poll(cx)).map_err(Into::into)?;
                if let Some(ops) = ops.take() {
                    ops.apply(response.status(), response.headers_mut());
                }
                Poll::Ready(Ok(response.map(Either::Left)))
            }
            // Polled again after it was ready, which the contract of `Future` leaves open: never ready again.
            StateProj::Ready(result) => match result.take() {
                None => Poll::Pending,
                Some(Ok(response)) => Poll::Ready(Ok(response.map(Either::Right))),
                Some(Err(error)) => Poll::Ready(Err(error.into())),
            },
        }
    }
}
