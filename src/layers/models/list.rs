//! Lists of models, answered here.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header::CONTENT_TYPE};
use http_body_util::{Either, Full};
use pin_project::pin_project;
use tower::{Layer, Service};

use super::shape::Shape;
use crate::{
    base::ext::{AnsweredHere, Record},
    llm::{DialectMode, caller::Allowed},
};

/// Applies [`List`].
///
/// The default answers nothing.
#[derive(Clone, Debug, Default)]
pub struct ListLayer {
    /// `None` is nothing at all.
    names: Option<Arc<[Arc<str>]>>,
    setting: DialectMode,
}

/// Answers `GET …/v1/models` and its like with the names it has, and with one of them if the path asks for it; everything else
/// passes, and so does all with no names. Below a [`CallersLayer`](crate::callers::CallersLayer) a caller sees what it may use.
///
/// The shape is that of the API: of the path where it is one API's own (`/v1beta/models`, `/api/tags`), else the setting's, else
/// Anthropic's where the caller sends `anthropic-version`, else OpenAI's.
///
/// # Errors
/// Those of the inner service.
#[derive(Clone, Debug)]
pub struct List<S> {
    inner: S,
    layer: ListLayer,
}

/// The inner service's body, or a list.
pub type ResponseBody<R> = Either<R, Full<Bytes>>;

/// Response future of [`List`].
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F>(#[pin] State<F>);

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F> {
    Passed(#[pin] F),
    Answered(Option<Response<Full<Bytes>>>),
}

// === impl ListLayer ===

impl ListLayer {
    /// Of these names, in the words of this dialect.
    #[must_use]
    pub const fn new(names: Arc<[Arc<str>]>, setting: DialectMode) -> Self {
        Self {
            names: Some(names),
            setting,
        }
    }

    /// What a caller is shown: no more than it may use, and what it may use by name. `None` if that is nothing.
    fn names_for<'a>(&'a self, allowed: Option<&'a Allowed>) -> Option<Vec<&'a str>> {
        let mut names: Vec<_> = self.names.as_ref()?.iter().map(|name| &**name).collect();
        if let Some(allowed) = allowed {
            names.retain(|name| allowed.allows(name));
            for name in allowed.names() {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        (!names.is_empty()).then_some(names)
    }

    fn answer<B>(&self, request: &Request<B>) -> Option<Response<Full<Bytes>>> {
        if request.method() != Method::GET || self.names.is_none() {
            return None;
        }
        let asked = Shape::of(self.setting, request.uri().path(), request.headers())?;
        let body = asked.render(&self.names_for(request.extensions().get())?)?;
        if let Some(record) = request.extensions().get::<Record>() {
            record.note(|n| n.details = Some("models_listed".to_owned()));
        }
        let mut response = Response::new(Full::from(body));
        response.extensions_mut().insert(AnsweredHere);
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Some(response)
    }
}

impl<S> Layer<S> for ListLayer {
    type Service = List<S>;

    fn layer(&self, inner: S) -> List<S> {
        List {
            inner,
            layer: self.clone(),
        }
    }
}

// === impl List ===

impl<S, B, R> Service<Request<B>> for List<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ResponseFuture(match self.layer.answer(&request) {
            Some(answer) => State::Answered(Some(answer)),
            None => State::Passed(self.inner.call(request)),
        })
    }
}

// === impl ResponseFuture ===

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().0.project() {
            StateProj::Passed(future) => future
                .poll(cx)
                .map_ok(|response| response.map(Either::Left)),
            // Polled again after it was ready: never ready again.
            StateProj::Answered(answer) => answer.take().map_or(Poll::Pending, |answer| {
                Poll::Ready(Ok(answer.map(Either::Right)))
            }),
        }
    }
}
