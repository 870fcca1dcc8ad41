//! The layer of requests that come in, and the future that all layers here share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as HttpBody;
use pin_project::pin_project;
use tower::{Layer, Service};

use super::server::{How, Serving};
use crate::{
    base::BoxError,
    body::{Body, End, Observe, Observed},
    classify::{Class, answer::Guarded, class_of_result},
    layers::trace,
};

/// Applies [`ServerSpan`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerSpanLayer(());

/// Makes a server span of each request, until its answer's body is over. Stands below
/// [`TraceLayer`](crate::trace::TraceLayer): without its [`Context`](trace::Context) nothing is done.
///
/// # Errors
/// The inner service's.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone, Copy, Debug)]
pub struct ServerSpan<S> {
    inner: S,
}

/// Future of [`ServerSpan`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct SpanFuture<F> {
    #[pin]
    inner: F,
    serving: Serving,
}

// === impl ServerSpanLayer ===

impl ServerSpanLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for ServerSpanLayer {
    type Service = ServerSpan<S>;

    fn layer(&self, inner: S) -> ServerSpan<S> {
        ServerSpan { inner }
    }
}

// === impl ServerSpan ===

impl<S, B, R> Service<Request<B>> for ServerSpan<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: HttpBody<Data = Bytes>,
{
    type Response = Response<Observed<R, Serving>>;
    type Error = S::Error;
    type Future = SpanFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let serving = begin(&mut request);
        SpanFuture {
            inner: self.inner.call(request),
            serving,
        }
    }
}

fn begin<B>(request: &mut Request<B>) -> Serving {
    let Some(context) = request.extensions().get::<trace::Context>() else {
        return Serving::default();
    };
    if !context.tracer.is_there() {
        return Serving::default();
    }
    let context = context.clone();
    let (span, serving) = Serving::begin(request, &context, true);
    if let Some(span) = span {
        request.extensions_mut().insert(span);
    }
    serving
}

// === impl SpanFuture ===

impl<F, R, E> Future for SpanFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: HttpBody<Data = Bytes>,
{
    type Output = Result<Response<Observed<R, Serving>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        let mut serving = std::mem::take(this.serving);
        Poll::Ready(match result {
            Ok(response) => {
                serving.head(response.status(), response.headers());
                Ok(response.map(|body| Observed::new(body, serving)))
            }
            Err(error) => {
                serving.over(How::Failed);
                Err(error)
            }
        })
    }
}

impl<E> Observe<E> for Serving {
    fn data(&mut self, chunk: &Bytes) {
        self.sent(chunk.len());
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        Self::trailers(self, trailers);
    }

    fn end(mut self, how: End<'_, E>) {
        self.over(match how {
            End::Complete => How::Complete,
            End::Failed(_) => How::Failed,
            End::Dropped => How::Dropped,
        });
    }
}

/// Sees what passes of a call that has a span. What its end comes to is told otherwise.
pub(super) trait Watcher: Send + Sync + 'static {
    /// What the head alone says, or the error in its place.
    fn head(&self, class: Class, head: Result<&http::Extensions, &BoxError>);

    /// A chunk of the body passes.
    fn chunk(&self) {}
}

/// Future of [`CallSpan`](super::CallSpan) and [`AttemptSpan`](super::AttemptSpan).
///
/// # Errors
/// The inner service's.
///
/// # Cancel safety
/// That of the inner service.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct Late<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
enum State<F> {
    /// There is no span.
    Passed(#[pin] F),
    Watched(#[pin] Guarded<F>, Arc<dyn Watcher>),
}

/// Tells of chunks.
struct Chunks(Arc<dyn Watcher>);

// === impl Late ===

impl<F> Late<F> {
    pub(super) fn passed(inner: F) -> Self {
        Self(State::Passed(inner))
    }

    pub(super) fn watched(inner: Guarded<F>, watcher: Arc<dyn Watcher>) -> Self {
        Self(State::Watched(inner, watcher))
    }
}

impl<F, R, E> Future for Late<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Passed(inner) => {
                let result = ready!(inner.poll(cx));
                Poll::Ready(
                    result
                        .map(|response| response.map(Body::new))
                        .map_err(Into::into),
                )
            }
            StateProj::Watched(inner, watcher) => {
                let result = ready!(inner.poll(cx));
                let head = result.as_ref().map(Response::extensions);
                watcher.head(class_of_result(&result), head);
                let chunks = Chunks(Arc::clone(watcher));
                Poll::Ready(
                    result.map(|response| {
                        response.map(|body| Body::new(Observed::new(body, chunks)))
                    }),
                )
            }
        }
    }
}

impl<F> fmt::Debug for Late<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Late")
            .field("watched", &matches!(self.0, State::Watched(..)))
            .finish()
    }
}

// === impl Chunks ===

impl<E> Observe<E> for Chunks {
    fn data(&mut self, _: &Bytes) {
        self.0.chunk();
    }

    fn end(self, _: End<'_, E>) {}
}
