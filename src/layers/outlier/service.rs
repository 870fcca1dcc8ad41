//! The [`Service`] shell.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    future::{Attempt, ResponseFuture, Watch},
    group::{Group, Membership},
};
use crate::{
    base::{BoxError, Error, Kind},
    body::{self, BoxErrors, Observed},
};

/// One member of a group: refuses calls while it is ejected, and counts what comes of the others.
#[derive(Clone, Debug)]
pub struct Outlier<S> {
    inner: S,
    group: Group,
    member: Arc<Membership>,
}

// === impl Outlier ===

impl<S> Outlier<S> {
    pub(super) fn new(inner: S, group: Group, member: Arc<Membership>) -> Self {
        Self {
            inner,
            group,
            member,
        }
    }

    /// The group it belongs to.
    pub const fn group(&self) -> &Group {
        &self.group
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

/// # Errors
/// [`Kind::NoEndpoints`] with the time left while it is ejected, and the inner service's own.
impl<S, B, R> Service<Request<B>> for Outlier<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: 'static,
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<Observed<BoxErrors<R>, Watch>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Err(left) = self.group.admit(&self.member) {
            let error = Error::new(Kind::NoEndpoints)
                .with_detail("the endpoint is ejected")
                .with_retry_after(left);
            return ResponseFuture::refused(error);
        }
        let attempt = Attempt::new(
            self.group.clone(),
            Arc::clone(&self.member),
            body::Context::reason_of(&request),
        );
        ResponseFuture::admitted(self.inner.call(request), attempt)
    }
}
