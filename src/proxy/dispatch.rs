//! Loads the configuration in force, once per request.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Request, Response, header::HOST};
use tower::Service;

use super::{BoxFuture, reload::Reloader, state::ServerState};
use crate::{base::BoxError, body::Body};

/// Serves each request from the snapshot that is in force when it comes.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    reloader: Arc<Reloader>,
    state: Arc<ServerState>,
}

// === impl Dispatch ===

impl Dispatch {
    /// Serves what `reloader` puts in force.
    #[must_use]
    pub(super) fn new(reloader: Arc<Reloader>, state: Arc<ServerState>) -> Self {
        Self { reloader, state }
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
        take_host_from_target(&mut request);
        let snapshot = self.reloader.snapshot();
        Box::pin(async move { snapshot.serve(request).await })
    }
}

/// Makes the target's host, if it names one, the `Host` (RFC 9112 section 3.2.2, RFC 9113 section 8.3.1): a request must
/// not be routed by one name and arrive under another.
fn take_host_from_target(request: &mut Request<Body>) {
    let Some(authority) = request.uri().authority() else {
        return;
    };
    let text = authority.as_str();
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    // An authority has no character that a field value must not have.
    if let Ok(host) = HeaderValue::from_str(host) {
        request.headers_mut().insert(HOST, host);
    }
}
