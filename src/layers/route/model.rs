//! Routes by the model that a request names.
//!
//! A virtual host whose routes match on the header `x-gateway-model-name` gets it from the request itself: the model in the
//! path (Gemini, Vertex, Bedrock, Azure) or in the body (`model` at the top of JSON, or the field `model` of a form). So
//! subsets, weights, timeouts and direct responses per model are ordinary routes. It says what the *caller* names: aliases
//! are another layer's, behind the route.
//!
//! - What a caller sends under that name there, or one that some servers take for it, is taken off: it is never trusted. On
//!   hosts whose routes do not ask, it is a header like any other and passes.
//! - The header goes on to the upstream, for whoever picks a replica by it; a route's `headers.request.remove` takes it off.
//! - A body is read until it names its model, and streams on from there, byte for byte. SDKs send `messages` first, so up to
//!   4 MiB are read. What names none by then, is compressed, or is neither JSON nor a form has no header: it meets the routes
//!   that ask for none. To restrict models, list those that are allowed and refuse the rest in the last route.
//! - A body that names two models fails with 400: parsers differ in which of them they take.
//!
//! Hosts whose routes do not ask pay one flag; see [`Table::reads_model`].

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::Body as _;
use tower::{Layer, Service};

use super::Table;
use crate::{
    base::{BoxError, Error, Late, ext::MODEL_HEADER},
    body::{self, Body},
    llm::request::{
        model_in_path,
        named::{self, Naming},
    },
};

/// Applies [`ReadModel`].
#[derive(Debug)]
pub struct ModelLayer<T = ()>(Arc<Table<T>>);

/// Writes the model that a request names where its virtual host's routes match on it. See the [module](self).
///
/// It stands directly above [`Route`](super::Route), with the same table.
///
/// # Errors
/// [`Kind::BadRequest`](crate::base::Kind::BadRequest) for a body that names two models; else the inner service's.
///
/// # Cancel safety
/// Dropping the future drops the request; nothing was sent.
#[derive(Debug)]
pub struct ReadModel<S, T = ()> {
    inner: S,
    table: Arc<Table<T>>,
}

/// Response future of [`ReadModel`].
pub type ModelFuture<F, T> = Late<F, T>;

// === impl ModelLayer ===

impl<T> ModelLayer<T> {
    /// For the routes of this table.
    #[must_use]
    pub const fn new(table: Arc<Table<T>>) -> Self {
        Self(table)
    }
}

impl<T> Clone for ModelLayer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, T> Layer<S> for ModelLayer<T> {
    type Service = ReadModel<S, T>;

    fn layer(&self, inner: S) -> ReadModel<S, T> {
        ReadModel {
            inner,
            table: Arc::clone(&self.0),
        }
    }
}

// === impl ReadModel ===

impl<S: Clone, T> Clone for ReadModel<S, T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            table: Arc::clone(&self.table),
        }
    }
}

impl<S, T> Service<Request<Body>> for ReadModel<S, T>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ModelFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if !self.table.reads_model(&request) {
            return Late::passed(self.inner.call(request));
        }
        take_off(request.headers_mut());
        if let Some(model) = model_in_path(request.uri()) {
            write(request.headers_mut(), &model);
            return Late::passed(self.inner.call(request));
        }
        let (head, body) = request.into_parts();
        let Some(naming) = Naming::of(&head).filter(|_| !body.is_end_stream()) else {
            let request = Request::from_parts(head, body);
            return Late::passed(self.inner.call(request));
        };
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        Late::waiting(async move {
            let request = read(naming, Request::from_parts(head, body)).await?;
            ready.call(request).await.map_err(Into::into)
        })
    }
}

/// Reads the body's model.
async fn read(naming: Naming, request: Request<Body>) -> Result<Request<Body>, Error> {
    let (mut head, body) = body::Context::into_extension(request).into_parts();
    let (naming, body) = named::find(naming, body).await;
    if let Some(model) = naming.named().model() {
        write(&mut head.headers, model);
    }
    Ok(Request::from_parts(head, naming.watch(body, true)?))
}

/// A name with characters that no header may have is not written.
fn write(headers: &mut HeaderMap, model: &str) {
    if let Ok(value) = HeaderValue::from_bytes(model.as_bytes())
        && !value.is_empty()
    {
        headers.insert(MODEL_HEADER, value);
    }
}

/// Some servers read `_` in a name as `-`.
fn take_off(headers: &mut HeaderMap) {
    let alike = |name: &&HeaderName| {
        let own = MODEL_HEADER;
        name.as_str().len() == own.as_str().len() && name.as_str().replace('_', "-") == own.as_str()
    };
    let names: Vec<HeaderName> = headers.keys().filter(alike).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
