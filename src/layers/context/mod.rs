//! What came in goes along: trace, deadline and baggage of an inbound request, on every outbound one made for it.
//!
//! A mesh outside the process needs each service to copy headers from what it is asked to what it asks. Inside the
//! process nobody has to: [`ServerLayer`] leaves the inbound request's [`Context`] in a task-local, and [`ClientLayer`],
//! outermost round a client, writes it into outbound requests where they say nothing themselves.
//!
//! | what | read from | written |
//! |---|---|---|
//! | trace and request id | the headers of [`trace`](crate::layers::trace), or begun | where the request names no trace |
//! | deadline | `x-envoy-expected-rq-timeout-ms`, `grpc-timeout` | what is left, where the request's own is later |
//! | `baggage` and [chosen](ServerLayer::with_header) headers | as they are | where absent |
//!
//! The context holds for the handler's future, for what its `call` does, and for its response body, so that streams
//! which ask upstreams as they go are covered. A task-local does not follow into spawned tasks; [`spawn`] carries it.
//!
//! Nothing is enforced here: a passed deadline stops an outbound call in [`deadline`](crate::layers::deadline).
//!
//! # Examples
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use llmesh::context::{ClientLayer, ServerLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let upstream = service_fn(|request: Request<()>| async move {
//!     assert_eq!(request.headers()["x-request-id"], "r-1");
//!     Ok::<_, Infallible>(())
//! });
//! let client = ClientLayer::new().layer(upstream);
//! let handler = service_fn(move |_: Request<()>| {
//!     let client = client.clone();
//!     async move {
//!         client.oneshot(Request::new(())).await?; // no header is copied by hand
//!         Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
//!     }
//! });
//! let server = ServerLayer::new().layer(handler);
//! let inbound = Request::builder().header("x-request-id", "r-1").body(()).unwrap();
//! server.oneshot(inbound).await.unwrap();
//! # }
//! ```

mod body;
mod client;
mod current;
mod server;

pub use self::{
    body::ContextBody,
    client::{Client, ClientLayer},
    current::{Context, Scope, current, scope, spawn},
    server::{ResponseFuture, Server, ServerLayer},
};
