//! What an LLM request asks for, read once for all layers below: model, stream, limits, size of the prompt.
//!
//! The body is read up to 1 MiB before anything is sent, since token limits must know its size and a fallback its model. It
//! leaves a [`Call`](crate::llm::request::Call), the [`RequestedModel`](crate::base::ext::RequestedModel), and the bytes themselves
//! ([`Buffered`](crate::base::ext::Buffered)), which are shared and sent on as they came; what is longer, or no generation
//! call, passes unread.
//!
//! The time for the body is the request's own: the layer belongs inside the deadline.
//!
//! # Cancel safety
//! Dropping the future drops the request; nothing was sent.
//!
//! # Examples
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use llmesh::{
//!     base::BoxError,
//!     body::Body,
//!     call::{CallLayer, Params},
//!     llm::request::Call,
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let inner = service_fn(|request: Request<Body>| async move {
//!     let call = request.extensions().get::<Call>();
//!     assert_eq!(call.and_then(|c| c.model.as_deref()), Some("m"));
//!     Ok::<_, BoxError>(Response::new(Body::empty()))
//! });
//! let body = Bytes::from_static(br#"{"model": "m", "messages": []}"#);
//! let request = Request::post("/v1/chat/completions").body(Body::from(body))?;
//! CallLayer::new(Params::default()).layer(inner).oneshot(request).await?;
//! # Ok(())
//! # }
//! ```

mod params;
mod service;

pub use self::{
    params::Params,
    service::{CallLayer, ReadCall, ResponseFuture},
};
