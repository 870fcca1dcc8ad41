//! The `Service` shell.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower::Service;

use super::{Head, Report, Summary};
use crate::{
    base::{
        BoxError,
        ext::{Arrival, Flag, Notes, Record, Tunnelled, caller_retries},
        time::{Instant, wall_now},
    },
    body::{End, Observe, Observed},
};

/// Reports every request at its end.
#[derive(Clone)]
pub struct Metrics<S> {
    inner: S,
    reports: Arc<[Arc<dyn Report>]>,
}

/// Future of [`Metrics`].
#[pin_project]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
    pending: Option<Pending>,
}

/// A response body that reports its request when it is over.
pub type SummaryBody<B> = Observed<B, Pending>;

/// A request whose summary has not been told yet; told once, at the latest on drop.
pub struct Pending(Option<Box<Untold>>);

struct Untold {
    reports: Arc<[Arc<dyn Report>]>,
    record: Record,
    at: Instant,
    received: Arc<AtomicU64>,
    /// A server drops the body of an answer to `HEAD` unread.
    bodiless: bool,
    summary: Summary,
}

/// Counts request body bytes.
#[derive(Debug)]
struct CountBytes(Arc<AtomicU64>);

// === impl Metrics ===

impl<S> Metrics<S> {
    pub(super) fn new(inner: S, reports: Arc<[Arc<dyn Report>]>) -> Self {
        Self { inner, reports }
    }

    fn start<B>(&self, request: &mut Request<B>, received: Arc<AtomicU64>) -> Pending {
        let arrival = request.extensions().get::<Arrival>().copied();
        let record = request
            .extensions_mut()
            .get_or_insert_default::<Record>()
            .clone();
        let caller_retries = caller_retries(request.headers());
        if caller_retries > 0 {
            record.note(|n| n.caller_retries = caller_retries);
        }
        let head = self.reports.iter().any(|r| r.wants_head()).then(|| Head {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
        });
        let grpc = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
        let summary = Summary {
            started: wall_now(),
            duration: std::time::Duration::ZERO,
            head,
            answer: None,
            peer: arrival.and_then(|a| a.peer),
            local: arrival.and_then(|a| a.local),
            status: 0,
            grpc,
            bytes_received: 0,
            bytes_sent: 0,
            // Those of its end.
            notes: Notes::default(),
        };
        let at = arrival.map_or_else(Instant::now, |a| a.at);
        Pending(Some(Box::new(Untold {
            reports: Arc::clone(&self.reports),
            record,
            at,
            received,
            bodiless: request.method() == Method::HEAD,
            summary,
        })))
    }
}

impl<S, B, R> Service<Request<B>> for Metrics<S>
where
    S: Service<Request<crate::body::Body>, Response = Response<R>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: Body<Data = Bytes>,
{
    type Response = Response<SummaryBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let tunnelled = request.extensions().get::<Tunnelled>();
        let received = tunnelled.map_or_else(Arc::default, Tunnelled::counter);
        let pending = self.start(&mut request, Arc::clone(&received));
        let request = crate::body::Context::into_extension(request);
        let request =
            request.map(|body| crate::body::Body::new(Observed::new(body, CountBytes(received))));
        ResponseFuture {
            inner: self.inner.call(request),
            pending: Some(pending),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Metrics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics")
            .field("inner", &self.inner)
            .field("reports", &self.reports.len())
            .finish()
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<SummaryBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        let Some(mut pending) = this.pending.take() else {
            // Polled again after completion, which the contract of `Future` forbids.
            return Poll::Pending;
        };
        Poll::Ready(match outcome {
            Ok(response) => {
                if let Some(untold) = &mut pending.0 {
                    untold.summary.status = response.status().as_u16();
                    if untold.reports.iter().any(|r| r.wants_answer()) {
                        untold.summary.answer = Some(response.headers().clone());
                    }
                }
                Ok(response.map(|body| Observed::new(body, pending)))
            }
            Err(error) => {
                // Told here, because a drop would count as the caller's leaving.
                pending.tell();
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

// === impl Pending ===

impl Pending {
    fn tell(&mut self) {
        let Some(mut untold) = self.0.take() else {
            return;
        };
        let summary = &mut untold.summary;
        summary.duration = untold.at.elapsed();
        summary.bytes_received = untold.received.load(Ordering::Relaxed);
        summary.notes = untold.record.snapshot();
        for report in &*untold.reports {
            report.report(summary);
        }
    }

    /// The caller went away.
    fn flag(&self) {
        if let Some(untold) = &self.0 {
            untold.record.flag(Flag::DC);
        }
    }
}

impl<E> Observe<E> for Pending {
    fn data(&mut self, chunk: &Bytes) {
        if let Some(untold) = &mut self.0 {
            untold.summary.bytes_sent += chunk.len() as u64;
        }
    }

    fn end(mut self, how: End<'_, E>) {
        let bodiless = self.0.as_ref().is_some_and(|untold| untold.bodiless);
        if matches!(how, End::Dropped) && !bodiless {
            self.flag();
        }
        self.tell();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.flag();
        self.tell();
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("summary", &self.0.as_ref().map(|untold| &untold.summary))
            .finish_non_exhaustive()
    }
}

// === impl CountBytes ===

impl<E> Observe<E> for CountBytes {
    fn data(&mut self, chunk: &Bytes) {
        self.0.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }

    fn end(self, _: End<'_, E>) {}
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::Empty;
    use tower::{Layer, ServiceExt, service_fn};

    use super::*;
    use crate::layers::metrics::MetricsLayer;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Summary>>);

    impl Report for Kept {
        fn report(&self, summary: &Summary) {
            self.0.lock().unwrap().push(summary.clone());
        }
    }

    /// An inner error is not the caller's leaving.
    #[tokio::test]
    async fn an_error_is_reported_once_and_not_as_a_disconnect() {
        let kept = Arc::new(Kept::default());
        let reports: Arc<dyn Report> = kept.clone();
        let inner = service_fn(async |_: Request<_>| {
            Err::<Response<Empty<Bytes>>, BoxError>("refused".into())
        });
        let service = MetricsLayer::new(vec![reports]).layer(inner);
        let request = Request::new(Empty::<Bytes>::new());
        assert!(service.oneshot(request).await.is_err());
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].status, 0);
        assert_eq!(kept[0].notes.flags, []);
    }
}
