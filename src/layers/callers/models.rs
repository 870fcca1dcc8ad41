//! What a caller may use.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body::Body as HttpBody;
use tower::{Layer, Service};

use super::service::refused;
use crate::{
    base::{BoxError, Error, Kind, Late, Refusal, ext::Buffered},
    body::{self, Body, owed},
    llm::{
        DialectMode,
        caller::Allowed,
        request::{
            Call, model_in_path,
            named::{self, Named, Naming},
        },
    },
};

/// Refuses what the request's caller may not use. See the [module](super).
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelsLayer(DialectMode);

/// Applied by [`ModelsLayer`].
#[derive(Clone, Debug)]
pub struct Models<S> {
    inner: S,
    setting: DialectMode,
}

/// Response future of [`Models`].
pub type ModelsFuture<F, T> = Late<F, T>;

// === impl ModelsLayer ===

impl ModelsLayer {
    /// The layer; refusals are told in the dialect that the operator says.
    #[must_use]
    pub const fn new(setting: DialectMode) -> Self {
        Self(setting)
    }
}

impl<S> Layer<S> for ModelsLayer {
    type Service = Models<S>;

    fn layer(&self, inner: S) -> Models<S> {
        Models {
            inner,
            setting: self.0,
        }
    }
}

// === impl Models ===

impl<S, B> Service<Request<B>> for Models<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ModelsFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = request.map(Body::new);
        let Some(allowed) = request
            .extensions()
            .get::<Allowed>()
            .filter(|_| asks(&request))
        else {
            return Late::passed(self.inner.call(request));
        };
        let (allowed, setting) = (allowed.clone(), self.setting);
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        Late::waiting(async move {
            let request = check(request, &allowed, setting).await?;
            ready.call(request).await.map_err(Into::into)
        })
    }
}

/// Whether a request may ask for a model. What only reads or removes does not.
fn asks<B>(request: &Request<B>) -> bool {
    let method = request.method();
    ![Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE].contains(method)
}

/// The request, if its model is among those allowed. A path that names one says it all, as it does to those who serve it.
async fn check(
    request: Request<Body>,
    allowed: &Allowed,
    setting: DialectMode,
) -> Result<Request<Body>, Error> {
    let (head, mut body) = body::Context::into_extension(request).into_parts();
    let refusal = match (model_in_path(&head.uri), Naming::of(&head)) {
        (Some(model), _) => verdict(Some(&model), allowed),
        (None, None) => Some(Refusal::ModelUnread),
        (None, Some(mut naming)) => {
            let named = if let Some(Buffered(bytes)) = head.extensions.get() {
                naming.push(bytes);
                naming.named().clone()
            } else {
                let (unread, held) = owed(body, &head.extensions);
                let (naming, read) = named::find(naming, unread).await;
                drop(held);
                let named = naming.named().clone();
                body = naming.watch(read, false)?;
                named
            };
            said(&named, head.extensions.get(), allowed)
        }
    };
    match refusal {
        None => Ok(Request::from_parts(head, body)),
        Some(refusal) => {
            let request = Request::from_parts(head, ());
            Err(refused(Kind::Forbidden, refusal, setting, &request))
        }
    }
}

/// Why what a body says is refused. Readers that disagree about it are not to be played off against each other.
fn said(named: &Named, call: Option<&Call>, allowed: &Allowed) -> Option<Refusal> {
    let model = named.model().filter(|_| !named.differs);
    let read = call.and_then(|call| call.model.as_ref());
    if read.is_some() && read != model {
        return Some(Refusal::ModelUnread);
    }
    verdict(model.map(|model| &**model), allowed)
}

fn verdict(model: Option<&str>, allowed: &Allowed) -> Option<Refusal> {
    match model {
        Some(model) if allowed.allows(model) => None,
        Some(_) => Some(Refusal::Model),
        None => Some(Refusal::ModelUnread),
    }
}
