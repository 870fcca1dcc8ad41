//! One deadline over all attempts and the whole response body.
//!
//! The clock starts when the service is called; where the request's body is not known whole
//! ([`Uploading`](crate::base::ext::Uploading)), that of the configured timeout starts when the caller owes nothing more of it
//! ([`Allowance`](crate::base::ext::Allowance)), as far as somebody below waits for it: a slow upload does not use up the
//! upstream's time. A caller that then sends nothing for as long as that timeout, before an answer has begun, is not waited for:
//! the call fails with [`Kind::UploadTimeout`](crate::base::Kind::UploadTimeout), which is its own doing and nobody's it called
//! (not so on gRPC, where a stream may be opened only to listen).
//!
//! The limit is the soonest of the configured timeout, what the caller
//! says in `x-envoy-expected-rq-timeout-ms`, `x-server-timeout` or (gRPC) `grpc-timeout`, and a
//! deadline that is already known for the request ([`Context`](crate::body::Context::deadline)): a caller may shorten it, never
//! lengthen it. Work that cannot finish is not started: a request whose deadline has passed does not reach the inner
//! service.
//!
//! The SDKs of OpenAI, Anthropic and others tell how long they wait for a *head* (`x-stainless-timeout`,
//! `x-stainless-read-timeout`): that bounds the call and its retries in the same way, and not the body.
//!
//! When it passes before the response head, the inner future is dropped and the call fails with
//! [`Kind::DeadlineExceeded`](crate::base::Kind::DeadlineExceeded). When it passes later, the body is cut with that
//! error, and the request's [`Record`](crate::base::ext::Record) gets Envoy's `UT` and `response_timeout`.
//!
//! What is left is told to the upstream in the same headers: by [`PropagateLayer`], put innermost, anew for each attempt; by
//! this layer where a request says something of its time already, and elsewhere if it is [asked to](Params::tell). Durations are sent, not clock times, so clocks need not agree.
//!
//! Without a limit there is no timer and no allocation. Dropping the response future or body stops the timer.
//!
//! # Examples
//! ```
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use llmesh::{
//!     base::{Kind, error},
//!     body::RequestBody,
//!     deadline::{DeadlineLayer, Params},
//! };
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let client = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(
//!         Params::default().with_timeout(Duration::from_millis(20)),
//!     ))
//!     .service(service_fn(|_request: Request<RequestBody>| async {
//!         std::future::pending::<()>().await;
//!         Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
//!     }));
//! let error = client.oneshot(Request::new(RequestBody::empty())).await.unwrap_err();
//! let kind = error::find(&*error).map(|e| e.kind());
//! assert_eq!(kind, Some(Kind::DeadlineExceeded));
//! # }
//! ```

mod body;
mod future;
pub mod headers;
mod layer;
pub mod limit;
pub mod params;
mod propagate;
mod service;

pub use self::{
    body::{Body, Expiry},
    future::ResponseFuture,
    layer::DeadlineLayer,
    params::Params,
    propagate::{Propagate, PropagateLayer},
    service::{Deadline, Stats},
};
