//! The service that classifies each attempt.

use std::task::{Context as TaskContext, Poll};

use ::http::{Request, Response};
use bytes::Bytes;
use http_body::Body;
use tower::Service;

use crate::{
    base::{
        BoxError,
        order::{self, Step},
    },
    body::Context,
    classify::{
        MakeClassifier,
        answer::ResponseBody,
        future::{Hold, ResponseFuture},
    },
};

/// Classifies each attempt once, and leaves the result where all can read it: in the body of the response
/// ([`ResponseBody::class`]) and, for those above a foreign body, as [`Classified`](super::Classified) in its extensions.
///
/// The head usually decides. Where it does not, and the request's [`Context`] says that a retry may still
/// follow, the first frames are held back, up to 64 KiB, until the classifier decides: then an error that only the
/// body shows can still be retried. An answer (a status below 400) is held back only if [it](Context::retries_answers)
/// says that it would be sent again, or [also](Context::explains) that the caller is told what it means. Otherwise the response is handed on at once. The end is always noted: at the body's
/// end, its error, or its drop. A class that a layer below left stands as it is.
///
/// # Errors
/// Those of the inner service, unchanged. Their class is [`class_of_error`](super::transport::class_of_error).
///
/// # Panics
/// In debug builds, if a [`StreamLayer`](crate::stream::StreamLayer) stands above.
///
/// # Cancel safety
/// Dropping the response before its end is [`Cancelled`](super::Outcome::Cancelled), unless it had failed before.
#[derive(Clone, Copy, Debug)]
pub struct Classify<S, M> {
    inner: S,
    make: M,
}

// === impl Classify ===

impl<S, M> Classify<S, M> {
    /// Classifies the responses of `inner`.
    pub const fn new(inner: S, make: M) -> Self {
        Self { inner, make }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, taken out.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, M, A, B> Service<Request<A>> for Classify<S, M>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    M: MakeClassifier,
    M::Classifier: Send + 'static,
    A: 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, M::Classifier>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        order::not_below(
            request.extensions(),
            Step::Stream,
            "StreamLayer stands above ClassifyLayer, so the class of a stream would be that of its 200; put StreamLayer below",
        );
        order::pass(request.extensions_mut(), Step::Classify);
        let context = Context::of(&request);
        let classifier = self.make.for_attempt(
            context,
            request.method(),
            request.uri(),
            request.headers(),
            request.extensions(),
        );
        let hold = hold(context);
        ResponseFuture::new(self.inner.call(request), classifier, hold)
    }
}

/// What of an answer to the request of this attempt is held back.
fn hold(context: Option<&Context>) -> Hold {
    let Some(context) = context else {
        return Hold::Nothing;
    };
    if context.explains() {
        return Hold::All;
    }
    let may_retry = context.attempt().is_some_and(|attempt| attempt.may_retry);
    match (may_retry, context.retries_answers()) {
        (false, _) => Hold::Nothing,
        (true, false) => Hold::Errors,
        (true, true) => Hold::All,
    }
}
