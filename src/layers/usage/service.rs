//! The layer, the service and its future.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH},
    request::Parts,
};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use pin_project::pin_project;
use tower::{Layer, Service, ServiceExt};

use crate::{
    base::{BoxError, time::Instant},
    body::{self, Body, RequestBody},
    llm::{
        Dialect,
        refused::{Addition, Refusals, unless_refused},
        request::{Call, is_sealed, with_usage},
    },
};

/// Applies [`Usage`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct UsageLayer(Target);

/// Asks for usage on the caller's behalf. See the [module](super).
#[derive(Clone, Debug)]
pub struct Usage<S> {
    inner: S,
    target: Target,
}

/// Who is asked.
#[derive(Clone, Debug)]
struct Target {
    cluster: Arc<str>,
    refusals: Refusals,
}

/// Response future of [`Usage`].
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] State<F>);

type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

#[pin_project(project = StateProj)]
enum State<F> {
    Passed(#[pin] F),
    Asking(Asking),
}

// === impl UsageLayer ===

impl UsageLayer {
    /// Asks this cluster, unless it is known to refuse.
    pub fn new(cluster: impl Into<Arc<str>>, refusals: Refusals) -> Self {
        Self(Target {
            cluster: cluster.into(),
            refusals,
        })
    }
}

impl<S> Layer<S> for UsageLayer {
    type Service = Usage<S>;

    fn layer(&self, inner: S) -> Usage<S> {
        Usage {
            inner,
            target: self.0.clone(),
        }
    }
}

// === impl Usage ===

impl<S, R> Service<Request<Body>> for Usage<S>
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if !self.target.is_asked(&request) {
            return ResponseFuture(State::Passed(self.inner.call(request)));
        }
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        ResponseFuture(State::Asking(Box::pin(ask(
            ready,
            self.target.clone(),
            request,
        ))))
    }
}

/// Sends the request with the addition, and without it if that was refused.
async fn ask<S, R>(
    mut inner: S,
    target: Target,
    request: Request<Body>,
) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    let (head, body) = RequestBody::of_request(request);
    let context = body.context().clone();
    let model = head.extensions.get::<Call>().and_then(|c| c.model.clone());
    // Who read the call has all of it.
    let own = body.collect().await?.to_bytes();
    let Some(asking) = with_usage(&own) else {
        let request = Request::from_parts(head, sent(own, context));
        let answer = inner.call(request).await.map_err(Into::into)?;
        return Ok(answer.map(Body::new));
    };
    let mut injected = context.clone();
    injected.set_usage_injected(true);
    let length = asking.len();
    let request = Request::from_parts(asking_head(&head, length), sent(asking, injected));
    let answer = inner.call(request).await.map_err(Into::into)?;
    if let Some(answer) = unless_refused(answer, Addition::Usage).await {
        return Ok(answer);
    }
    let Target { cluster, refusals } = target;
    refusals.note(Addition::Usage, &cluster, model.as_ref(), Instant::now());
    tracing::info!(%cluster, model = model.as_deref(), "usage is not asked for here: it is refused");
    let inner = inner.ready().await.map_err(Into::into)?;
    let request = Request::from_parts(head, sent(own, context));
    let answer = inner.call(request).await.map_err(Into::into)?;
    Ok(answer.map(Body::new))
}

fn sent(bytes: impl Into<Bytes>, context: body::Context) -> Body {
    Body::new(RequestBody::from(bytes).with_context(context))
}

fn asking_head(head: &Parts, length: usize) -> Parts {
    let mut head = head.clone();
    if head.headers.contains_key(CONTENT_LENGTH) {
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    let identity = HeaderValue::from_static("identity");
    head.headers.insert(ACCEPT_ENCODING, identity);
    head
}

// === impl Target ===

impl Target {
    fn is_asked(&self, request: &Request<Body>) -> bool {
        let Some(call) = request.extensions().get::<Call>() else {
            return false;
        };
        call.dialect == Dialect::OpenAi
            && call.stream
            && !call.usage_asked
            && !is_sealed(request.headers())
            && !self.refusals.knows(
                Addition::Usage,
                &self.cluster,
                call.model.as_ref(),
                Instant::now(),
            )
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: Into<BoxError>,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError> + 'static,
{
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Passed(future) => future
                .poll(cx)
                .map_ok(|answer| answer.map(Body::new))
                .map_err(Into::into),
            StateProj::Asking(future) => future.as_mut().poll(cx),
        }
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}
