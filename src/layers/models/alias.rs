//! Another model in place of the one that a caller names.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, request::Parts};
use tower::{Layer, Service};

use crate::{
    base::{
        BoxError, Error, Late,
        ext::{Buffered, Record},
    },
    body::{self, Body, owed},
    llm::request::{Aliases, Call, model_in_path, rename, rename_named, rename_path},
};

/// Applies [`Alias`].
#[derive(Clone, Debug)]
pub struct AliasLayer(Arc<Aliases>);

/// Asks for the model that a name stands for. See the [module](super).
///
/// Below a [`CallLayer`](crate::call::CallLayer), which has read most bodies; a longer one is read until it names its model.
/// A form, and what is compressed, passes as it is.
///
/// # Errors
/// [`Kind::BadRequest`](crate::base::Kind::BadRequest) for a long body that names its model twice; else the inner service's.
#[derive(Clone, Debug)]
pub struct Alias<S> {
    inner: S,
    aliases: Arc<Aliases>,
}

// === impl AliasLayer ===

impl AliasLayer {
    /// With these names.
    #[must_use]
    pub const fn new(aliases: Arc<Aliases>) -> Self {
        Self(aliases)
    }
}

impl<S> Layer<S> for AliasLayer {
    type Service = Alias<S>;

    fn layer(&self, inner: S) -> Alias<S> {
        Alias {
            inner,
            aliases: Arc::clone(&self.0),
        }
    }
}

// === impl Alias ===

impl<S> Service<Request<Body>> for Alias<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Late<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut head, body) = body::Context::into_extension(request).into_parts();
        let known = match at_hand(&self.aliases, &mut head) {
            Some(renamed) => Ok(renamed),
            None if is_read(&self.aliases, &mut head) => Ok(body),
            None => Err(body),
        };
        let body = match known {
            Ok(body) => {
                let request = Request::from_parts(head, body);
                return Late::passed(self.inner.call(request));
            }
            Err(body) => body,
        };
        let aliases = Arc::clone(&self.aliases);
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        Late::waiting(async move {
            let request = read(&aliases, head, body).await?;
            ready.call(request).await.map_err(Into::into)
        })
    }
}

/// Whether all that names a model was looked at: the call that was read, or the path, which then has another model.
fn is_read(aliases: &Aliases, head: &mut Parts) -> bool {
    if head.extensions.get::<Buffered>().is_some() {
        return true;
    }
    let Some(asked) = model_in_path(&head.uri) else {
        return false;
    };
    if let Some(model) = aliases.of(&asked)
        && rename_path(head, model).is_some()
    {
        note(head, asked.into());
    }
    true
}

/// The body of a call that was read, with another model; `None` if it names none that stands for another.
fn at_hand(aliases: &Aliases, head: &mut Parts) -> Option<Body> {
    let call = head.extensions.get::<Call>()?;
    let (dialect, asked) = (call.dialect, call.model.clone()?);
    let model = Arc::clone(aliases.of(&asked)?);
    let body = head.extensions.get::<Buffered>()?.0.clone();
    // What has no place for a model says so itself, of the one that was asked for.
    let body = rename(head, dialect, &body, &model).ok()?;
    note(head, asked);
    Some(Body::from(body))
}

/// The request with another model, where it was not read before.
async fn read(aliases: &Aliases, mut head: Parts, body: Body) -> Result<Request<Body>, Error> {
    let mut asked = None;
    let choose = |name: &str| {
        let model = aliases.of(name)?;
        asked = Some(Arc::from(name));
        Some(Arc::clone(model))
    };
    let (body, held) = owed(body, &head.extensions);
    let body = rename_named(&mut head, body, choose).await?;
    drop(held);
    if let Some(asked) = asked {
        note(&head, asked);
    }
    Ok(Request::from_parts(head, body))
}

/// Says in the request's record what the caller asked for.
fn note(head: &Parts, asked: Arc<str>) {
    if let Some(record) = head.extensions.get::<Record>() {
        record.note(|n| n.alias = Some(asked));
    }
}
