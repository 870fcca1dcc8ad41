//! The service.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body::Body as HttpBody;
use tower::Service;

use super::{
    Body, Params, ResponseFuture,
    body::Notes,
    headers,
    limit::{Expired, effective, patience},
};
use crate::{
    base::{
        BoxError, Counter,
        ext::{self, Record, TryClock, Until, Uploading},
        time::Instant,
    },
    body::{self, RequestBody},
};

/// Bounds the time of a request and its response body. See the [module](super).
///
/// # Panics
/// In debug builds, if it stands below a `RetryLayer` and no deadline above: then it would bound each attempt.
#[derive(Clone, Debug)]
pub struct Deadline<S> {
    inner: S,
    params: Params,
    stats: Arc<Stats>,
}

/// Counters of a deadline layer, shared by its services.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests whose deadline passed, before the response head, in its body, or before they began.
    pub timeouts: Counter,
}

// === impl Deadline ===

impl<S> Deadline<S> {
    pub(super) fn new(inner: S, params: Params, stats: Arc<Stats>) -> Self {
        Self {
            inner,
            params,
            stats,
        }
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

    /// The inner service, without the deadline.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S> Deadline<S> {
    /// What bounds a whole call must not stand below its repetition; what bounds one of several targets may.
    fn check_order(&self, request: &Extensions, context: &body::Context, known: &Until) {
        if !cfg!(debug_assertions) {
            return;
        }
        let each = context.attempt().is_some_and(|attempt| attempt.may_retry)
            && request.get::<ext::Chain>().is_none()
            && known.fixed().is_none()
            && !known.moves();
        debug_assert!(
            !each || self.params.timeout.is_none(),
            "wrong order of layers: DeadlineLayer stands below RetryLayer, so that each attempt would get the whole time \
             again; put DeadlineLayer above, or use the retry layer's per_try_timeout"
        );
    }

    fn expired<F>(&self) -> ResponseFuture<F> {
        self.stats.timeouts.inc();
        ResponseFuture::expired()
    }

    /// Our own limit, if it begins only when the request is complete.
    fn moving(&self, request: &Extensions) -> Option<Duration> {
        request.get::<Uploading>()?;
        self.params.timeout.filter(|limit| !limit.is_zero())
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let (mut head, mut body) = RequestBody::of_request(request);
        let known = Until::of(body.context().deadline(), &head.extensions);
        self.check_order(&head.extensions, body.context(), &known);
        let moving = self.moving(&head.extensions);
        let params = Params {
            timeout: self.params.timeout.filter(|_| moving.is_none()),
            // Where a layer like this stands above, the headers are its words and not the caller's.
            honour_caller: self.params.honour_caller && !known.moves(),
            tell: self.params.tell,
        };
        let stated = headers::stated(&head.headers);
        let deadline = match effective(&params, &stated, known.fixed(), now) {
            Ok(deadline) => deadline,
            Err(Expired) => return self.expired(),
        };
        let until = match moving {
            Some(limit) => known.clone().with(TryClock::start(), limit),
            None => known.clone(),
        };
        let until = until.with_fixed(deadline);
        let end = until.at(now);
        if end.is_some_and(|end| end.0 <= now) {
            return self.expired();
        }
        if stated.expected || (end.is_some() && (params.tell || stated.grpc)) {
            headers::write(&mut head.headers, end.map(|d| d.left(now)));
        }
        let patience = patience(&params, &stated, deadline, now);
        if end.is_none() && patience.is_none() {
            return ResponseFuture::unlimited(self.inner.call(Request::from_parts(head, body)));
        }
        let context = body.context_mut();
        if patience.is_some() {
            context.set_head_deadline(patience);
        }
        if moving.is_some() {
            head.extensions.insert(until.allowance().clone());
            context.cancel_cause_mut();
        }
        // Only a deadline of our own says something about the endpoint: a caller's may be as short as it likes.
        let ours = params.timeout.and_then(|limit| now.checked_add(limit));
        let ours = deadline.is_some_and(|d| ours == Some(d.0));
        if ours || deadline != known.fixed() {
            context.set_deadline(deadline, ours);
        }
        let cause = context.cancel_cause().filter(|_| ours || moving.is_some());
        let notes = Notes {
            cause: cause.cloned(),
            record: head.extensions.get::<Record>().cloned(),
            stats: Arc::clone(&self.stats),
        };
        // A gRPC caller may open a stream only to listen.
        let stalls = until.moves() && !stated.grpc;
        let inner = self.inner.call(Request::from_parts(head, body));
        ResponseFuture::limited(inner, until, patience, stalls, notes)
    }
}
