//! Inbound: the request's context into the task-local.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll, ready},
};

use http::{HeaderName, Request, Response};
use http_body::Body;
use pin_project::pin_project;
use tower::{Layer, Service};

use super::{
    body::ContextBody,
    current::{Context, Scope, pick, scope, within},
};
use crate::{
    base::{SharedRng, ext::Deadline, time::Instant},
    body,
    layers::{
        deadline::headers,
        spans::{How, Serving},
        trace,
    },
};

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// Applies [`Server`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct ServerLayer {
    params: trace::Params,
    names: Arc<[HeaderName]>,
    rng: SharedRng,
}

/// Serves each request in its [`Context`], and leaves the trace in the request's extensions and the deadline
/// in its [`body::Context`] too. Where spans are made (feature `otel`), the request gets one, which is the process's current one
/// until the answer's body is over.
///
/// A request without a trace or request id gets one, so that all outbound calls made for it belong together.
///
/// # Errors
/// The inner service's.
///
/// # Cancel safety
/// That of the inner service.
#[derive(Clone, Debug)]
pub struct Server<S> {
    inner: S,
    layer: ServerLayer,
}

/// Future of [`Server`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    inner: Scope<F>,
    context: Context,
    serving: Serving,
}

// === impl ServerLayer ===

impl ServerLayer {
    /// Trace context by default parameters, deadline and `baggage`.
    pub fn new() -> Self {
        Self {
            params: trace::Params::default(),
            names: Arc::new([BAGGAGE]),
            rng: SharedRng::from_entropy(),
        }
    }

    /// Sets which new traces are sampled, and their formats.
    pub fn with_trace(mut self, params: trace::Params) -> Self {
        self.params = params;
        self
    }

    /// Passes this header on too. Outbound calls may go anywhere: think before you pass credentials.
    pub fn with_header(mut self, name: HeaderName) -> Self {
        self.names = self.names.iter().cloned().chain([name]).collect();
        self
    }

    /// Sets the generator that ids come from.
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.rng = rng;
        self
    }

    fn read<B: 'static>(&self, request: &mut Request<B>) -> (Context, Serving) {
        let known = request.extensions().get::<trace::Context>().cloned();
        let trace =
            known.unwrap_or_else(|| trace::begin(request.headers_mut(), &self.params, &self.rng));
        let (span, serving) = match self.params.enabled {
            true => Serving::begin(request, &trace, false),
            false => Default::default(),
        };
        let told = span.as_ref().and_then(|span| span.told(&trace));
        let trace = told.unwrap_or(trace);
        let now = Instant::now();
        let stated = headers::read(request.headers())
            .and_then(|limit| now.checked_add(limit))
            .map(Deadline);
        let known = body::Context::of(request).and_then(body::Context::deadline);
        let deadline = Deadline::sooner(known, stated);
        request.extensions_mut().insert(trace.clone());
        if let Some(deadline) = deadline {
            body::Context::edit(request, |known| known.shorten(deadline));
        }
        let context = Context::new(trace)
            .with_span(span)
            .with_deadline(deadline)
            .with_headers(pick(request.headers(), &self.names));
        (context, serving)
    }
}

impl Default for ServerLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Server<S> {
        Server {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl Server ===

impl<S> Server<S> {
    /// The inner service.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Server<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: 'static,
    R: Body,
{
    type Response = Response<ContextBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let (context, serving) = self.layer.read(&mut request);
        let future = within(&context, || self.inner.call(request));
        ResponseFuture {
            inner: scope(context.clone(), future),
            context,
            serving,
        }
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<ContextBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response =
            ready!(this.inner.poll(cx)).inspect_err(|_| this.serving.over(How::Failed))?;
        let (context, mut serving) = (this.context.clone(), std::mem::take(this.serving));
        serving.head(response.status(), response.headers());
        // A server does not ask for what is not there.
        if response.body().is_end_stream() {
            serving.over(How::Complete);
        }
        Poll::Ready(Ok(
            response.map(|body| ContextBody::new(body, context, serving))
        ))
    }
}
