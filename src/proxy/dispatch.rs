//! Loads the configuration in force, once per request.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tower::Service;

use super::{BoxFuture, reload::Reloader, state::ServerState};
use crate::{base::BoxError, body::Body, mesh::sanitize_outbound};

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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.state.downstream.total.inc();
        self.state.active.inc();
        let (mut head, body) = request.into_parts();
        sanitize_outbound(&mut head);
        let request = Request::from_parts(head, body);
        let snapshot = self.reloader.snapshot();
        Box::pin(async move { snapshot.serve(request).await })
    }
}
