//! Before and after everything else: the request's one form, and the configuration in force.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Method, Request, Response, Version,
    header::{ALLOW, CONNECTION, CONTENT_TYPE},
};
use tower::Service;

use super::{BoxFuture, Own, reload::Reloader, state::ServerState};
use crate::{
    base::{
        BoxError,
        ext::{Flag, Record, RouteMeta},
    },
    body::Body,
    mesh::{self, Refusal},
    model::Normalization,
};

/// Brings requests into their one form before anything reads them or adds to them.
///
/// One that has none goes on with its `Refusal`, so that it is traced, counted and logged as all others are;
/// `Dispatch` answers it.
#[derive(Clone, Debug)]
pub(super) struct Canonical<S> {
    inner: S,
    max_fields: usize,
    form: Normalization,
}

/// Serves each request from the snapshot that is in force when it comes.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    reloader: Arc<Reloader>,
    state: Arc<ServerState>,
    own: Arc<Own>,
}

// === impl Canonical ===

impl<S> Canonical<S> {
    /// Over `inner`, for requests of at most so many header fields, with paths in this form.
    pub(super) fn new(inner: S, max_fields: usize, form: Normalization) -> Self {
        Self {
            inner,
            max_fields,
            form,
        }
    }
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for Canonical<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> S::Future {
        let (mut head, body) = request.into_parts();
        if let Err(refusal) = mesh::canonical(&mut head, self.max_fields, self.form) {
            head.extensions.insert(refusal);
        }
        self.inner.call(Request::from_parts(head, body))
    }
}

// === impl Dispatch ===

impl Dispatch {
    /// Serves what `reloader` puts in force, and requests for the listener's own address where `own` says.
    #[must_use]
    pub(super) fn new(reloader: Arc<Reloader>, state: Arc<ServerState>, own: Own) -> Self {
        Self {
            reloader,
            state,
            own: Arc::new(own),
        }
    }
}

impl Service<Request<Body>> for Dispatch {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        self.state.downstream.total.inc();
        self.state.active.inc();
        if let Some(refusal) = request.extensions().get::<Refusal>() {
            if request.method() == Method::CONNECT {
                self.state.news.tunnel();
            }
            let response = refused(*refusal, &request);
            return Box::pin(std::future::ready(Ok(response)));
        }
        if request.method() == Method::OPTIONS && request.uri().path() == "*" {
            return Box::pin(std::future::ready(Ok(asked_itself(&request))));
        }
        let snapshot = self.reloader.snapshot();
        let state = Arc::clone(&self.state);
        let addressed = self
            .own
            .readdress(&mut request, |host| snapshot.knows(host));
        if let (Err(_), Some(record)) = (&addressed, request.extensions().get::<Record>()) {
            record.note(|n| n.route = Some(RouteMeta::block_all()));
        }
        let served = match addressed {
            Ok(()) => Ok(snapshot.serve(request)),
            Err(error) => Err(error),
        };
        Box::pin(async move {
            // Until the head is out: what it leads to is drained when nobody holds it.
            let _in_force = snapshot;
            let served = match served {
                Ok(serving) => serving.await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = &served {
                state.news.unknown_host(error);
            }
            served
        })
    }
}

// === free functions ===

/// The answer to `OPTIONS *`, which asks the server itself whether it is there (RFC 9110 section 9.3.7): no host and no path
/// could say whom else it means.
pub(super) fn asked_itself(request: &Request<Body>) -> Response<Body> {
    if let Some(record) = request.extensions().get::<Record>() {
        record.note(|n| n.details = Some("options_of_the_server".to_owned()));
    }
    Response::new(Body::empty())
}

/// On HTTP/1 it is the connection's last: how the rest of it is to be read is not sure.
pub(super) fn refused(refusal: Refusal, request: &Request<Body>) -> Response<Body> {
    if let Some(record) = request.extensions().get::<Record>() {
        record.flag(Flag::DPE);
        record.note(|n| n.details = Some(refusal.why.replace(' ', "_")));
    }
    let mut response = Response::new(Body::from(refusal.text()));
    *response.status_mut() = refusal.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    if refusal.status == http::StatusCode::METHOD_NOT_ALLOWED {
        // RFC 9110 section 15.5.6 wants a list; which methods a service has is not known here.
        headers.insert(ALLOW, HeaderValue::from_static(""));
    }
    if request.version() < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
