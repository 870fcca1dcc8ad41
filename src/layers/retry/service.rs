//! The service: decides whether a request takes the loop or passes through.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    Params, ResponseFuture,
    attempt::{Call, Shared, stamp},
};
use crate::{
    base::{
        BoxError,
        ext::RetryHeaders,
        hops,
        order::{self, Step},
    },
    body::RequestBody,
};

/// Sends requests again as its [`Params`] say. See the [module](super).
///
/// # Panics
/// In debug builds, if a layer that belongs to the single attempt stands above: `ClassifyLayer`, `InjectLayer`,
/// `PropagateLayer`.
#[derive(Clone, Debug)]
pub struct Retry<S> {
    inner: S,
    shared: Arc<Shared>,
}

// === impl Retry ===

impl<S> Retry<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// The policy.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.shared.params
    }

    /// The inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without retries.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Retry<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, Response<R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        check_order(request.extensions());
        let (mut head, mut body) = RequestBody::of_request(request);
        let asked = head.extensions.get::<RetryHeaders>();
        let asked = asked.map(|asked| Arc::new(self.shared.asked(asked)));
        let shared = asked.as_ref().unwrap_or(&self.shared);
        let params = &shared.params;
        let nothing = shared.policy.is_none() && params.retry_on.is_empty();
        if params.retries == 0 || nothing {
            let told = params.attempt_header || hops::sent(&head.headers).counted;
            stamp(&mut head, &mut body, 1, false, false, told);
            let body = body.watched(&head.extensions);
            let request = Request::from_parts(head, body);
            return ResponseFuture::pass(self.inner.call(request));
        }
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let body = body.keep(params.replay_cap);
        let mut call = Box::new(Call::new(ready, Arc::clone(shared), &head, body));
        call.deposit();
        if call.has_limit() {
            return ResponseFuture::attempts(Box::pin(call.run(head)));
        }
        match call.first(head) {
            Ok(first) => ResponseFuture::first(first, call),
            Err(error) => ResponseFuture::attempts(Box::pin(async { Err(error) })),
        }
    }
}

/// What belongs to an attempt must not stand above its repetition.
fn check_order(request: &Extensions) {
    order::not_below(
        request,
        Step::Classify,
        "ClassifyLayer stands above RetryLayer, which would judge by the status alone; put ClassifyLayer below",
    );
    order::not_below(
        request,
        Step::Inject,
        "InjectLayer stands above RetryLayer, so all attempts would be one span; put InjectLayer below",
    );
    order::not_below(
        request,
        Step::Propagate,
        "PropagateLayer stands above RetryLayer, so a late attempt would promise time that is gone; put it below",
    );
}
