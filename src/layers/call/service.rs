//! The layer, the service and its future.

use std::{
    mem,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, header};
use http_body::Body as HttpBody;
use tower::{Layer, Service};

use super::Params;
use crate::{
    base::{
        BoxError, Late,
        ext::{Buffered, RequestedModel},
    },
    body::{self, Body, owed, read_prefix},
    llm::{dialect::Api, request::Call},
};

/// Applies [`ReadCall`].
#[derive(Clone, Copy, Debug, Default)]
pub struct CallLayer(Params);

/// Reads what an LLM request asks for. See the [module](super).
#[derive(Clone, Debug)]
pub struct ReadCall<S> {
    inner: S,
    params: Params,
}

/// Response future of [`ReadCall`].
pub type ResponseFuture<F, T> = Late<F, T>;

// === impl CallLayer ===

impl CallLayer {
    /// Reads as these parameters say.
    #[must_use]
    pub const fn new(params: Params) -> Self {
        Self(params)
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = ReadCall<S>;

    fn layer(&self, inner: S) -> ReadCall<S> {
        ReadCall {
            inner,
            params: self.0,
        }
    }
}

// === impl ReadCall ===

impl<S, B> Service<Request<B>> for ReadCall<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future, S::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let request = request.map(Body::new);
        let api = Api::of_request(self.params.dialect, &request);
        if !api.counts || request.headers().contains_key(header::CONTENT_ENCODING) {
            return Late::passed(self.inner.call(request));
        }
        let clone = self.inner.clone();
        let mut ready = mem::replace(&mut self.inner, clone);
        let params = self.params;
        Late::waiting(async move {
            let request = body::Context::into_extension(request);
            let request = read(request, api, params).await;
            ready.call(request).await.map_err(Into::into)
        })
    }
}

/// Reads the body, as far as it may, and leaves what it says.
async fn read(request: Request<Body>, api: Api, params: Params) -> Request<Body> {
    let (mut head, body) = request.into_parts();
    let (body, held) = owed(body, &head.extensions);
    let (prefix, body) = read_prefix(body, params.cap).await;
    drop(held);
    if !prefix.whole {
        return Request::from_parts(head, Body::new(body));
    }
    let Some(call) = Call::read(&api, &head.uri, &prefix.bytes) else {
        return Request::from_parts(head, Body::new(body));
    };
    if let Some(model) = &call.model {
        head.extensions.insert(RequestedModel(model.clone()));
    }
    head.extensions.insert(call);
    head.extensions.insert(Buffered(prefix.bytes));
    Request::from_parts(head, Body::new(body))
}

#[cfg(test)]
mod tests {
    use http::Response;
    use http_body_util::BodyExt;
    use tower::{ServiceExt, service_fn};

    use super::*;

    /// What stands below: the request as it arrives there.
    async fn below(params: Params, path: &str, body: &[u8]) -> (http::request::Parts, Bytes) {
        let inner = service_fn(|request: Request<Body>| async move {
            let (head, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::new((head, bytes)))
        });
        let request = Request::post(path)
            .header("content-length", body.len())
            .body(Body::from(Bytes::copy_from_slice(body)))
            .unwrap();
        let layer = CallLayer::new(params);
        layer
            .layer(inner)
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
    }

    const CHAT: &str = "/v1/chat/completions";

    #[tokio::test]
    async fn what_is_asked_for_is_left_for_those_below() {
        let body = br#"{"model":"m","stream":true,"messages":[]}"#;
        let (head, bytes) = below(Params::default(), CHAT, body).await;
        let call = head.extensions.get::<Call>().unwrap();
        assert_eq!((call.model.as_deref(), call.stream), (Some("m"), true));
        assert_eq!(
            head.extensions.get::<RequestedModel>(),
            Some(&RequestedModel("m".into()))
        );
        assert_eq!(head.extensions.get::<Buffered>().unwrap().0, bytes);
        assert_eq!(bytes, &body[..]);
    }

    #[tokio::test]
    async fn what_is_no_call_or_too_long_passes_as_it_is() {
        let small = Params {
            cap: 16,
            ..Params::default()
        };
        let body = br#"{"model":"m","stream":true,"messages":[]}"#;
        for (params, path, body) in [
            (small, CHAT, &body[..]),
            (Params::default(), "/orders", body),
            (Params::default(), CHAT, b"no JSON"),
        ] {
            let (head, bytes) = below(params, path, body).await;
            assert!(head.extensions.get::<Call>().is_none());
            assert_eq!(bytes, body);
        }
    }
}
