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
use crate::base::{
    BoxError, Counter,
    ext::{self, CancelReason, Record, TryClock, Until, Uploading},
    time::Instant,
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
    fn check_order(&self, request: &Extensions, known: &Until) {
        if !cfg!(debug_assertions) {
            return;
        }
        let attempt = request.get::<ext::Attempt>();
        let each = attempt.is_some_and(|attempt| attempt.may_retry)
            && request.get::<ext::Chain>().is_none()
            && known.fixed().is_none()
            && !known.moves();
        debug_assert!(
            !each || self.params.timeout.is_none(),
            "wrong order of layers: DeadlineLayer stands below RetryLayer, so that each attempt would get the whole time \
             again; put DeadlineLayer above, or use the retry layer's per_try_timeout"
        );
    }

    /// Our own limit, if it begins only when the request is complete.
    fn moving(&self, request: &Extensions) -> Option<Duration> {
        request.get::<Uploading>()?;
        self.params.timeout.filter(|limit| !limit.is_zero())
    }
}

impl<S, B, R> Service<Request<B>> for Deadline<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    type Response = Response<Body<R>>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let now = Instant::now();
        let known = Until::of(request.extensions());
        self.check_order(request.extensions(), &known);
        let moving = self.moving(request.extensions());
        let params = Params {
            timeout: self.params.timeout.filter(|_| moving.is_none()),
            // Where a layer like this stands above, the headers are its words and not the caller's.
            honour_caller: self.params.honour_caller && !known.moves(),
            tell: self.params.tell,
        };
        let stated = headers::stated(request.headers());
        let deadline = match effective(&params, &stated, known.fixed(), now) {
            Ok(deadline) => deadline,
            Err(Expired) => {
                self.stats.timeouts.inc();
                return ResponseFuture::expired();
            }
        };
        let own = moving.is_some();
        let until = match moving {
            Some(limit) => known.with(TryClock::start(), limit),
            None => known,
        };
        let until = until.with_fixed(deadline);
        let end = until.at(now);
        if end.is_some_and(|end| end.0 <= now) {
            self.stats.timeouts.inc();
            return ResponseFuture::expired();
        }
        if stated.expected || (end.is_some() && (params.tell || stated.grpc)) {
            headers::write(request.headers_mut(), end.map(|d| d.left(now)));
        }
        let patience = patience(&params, &stated, deadline, now);
        if end.is_none() && patience.is_none() {
            return ResponseFuture::unlimited(self.inner.call(request));
        }
        let extensions = request.extensions_mut();
        if let Some(deadline) = deadline {
            extensions.insert(deadline);
        }
        if let Some(patience) = patience {
            extensions.insert(patience);
        }
        if own {
            extensions.insert(until.allowance().clone());
        }
        // Only a deadline of our own says something about the endpoint: a caller's may be as short as it likes.
        let ours = params.timeout.and_then(|limit| now.checked_add(limit));
        let own = own || deadline.is_some_and(|d| ours == Some(d.0));
        let given_up = own.then(|| extensions.get_or_insert_default::<CancelReason>().clone());
        let notes = Notes {
            given_up,
            record: extensions.get::<Record>().cloned(),
            stats: Arc::clone(&self.stats),
        };
        // A gRPC caller may open a stream only to listen.
        let stalls = until.moves() && !stated.grpc;
        ResponseFuture::limited(self.inner.call(request), until, patience, stalls, notes)
    }
}
