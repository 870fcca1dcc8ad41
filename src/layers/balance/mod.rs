//! Picks an endpoint for each attempt, at call time.
//!
//! A balancer that picks in `poll_ready` cannot see the request: not its hash key, nor which endpoints it has been to.
//! Here the pick is made in `call`, from an immutable snapshot: one atomic load, no lock and no queue.
//!
//! - [`EndpointSet`] is the shared set. Endpoints come and go, parameters are replaced, and each endpoint's state
//!   (requests in flight, latency estimate, ejection, counters) is kept as long as its address stays.
//! - [`Balance`] is the service: it picks, notes the endpoint in [`Tried`](crate::base::ext::Tried) and
//!   [`EndpointRef`](crate::base::ext::EndpointRef), asks a [`Dial`] for a service to that endpoint and calls it. A
//!   request is in flight until its response body ends or is dropped.
//! - What comes of an attempt feeds outlier detection (at the response head, and once more if the body fails) and the
//!   latency estimate (at the first byte of the body).
//! - An ejected endpoint is not picked, unless fewer than
//!   [`panic_threshold`](Params::panic_threshold) percent are left. None left is
//!   [`Kind::NoEndpoints`](crate::base::Kind::NoEndpoints).
//! - A request for a [`RequestedModel`](crate::base::ext::RequestedModel) counts for that model at its endpoint: an address that serves many is
//!   ejected for the one that fails and stays in for the others. What says that the address itself is dead (no connection)
//!   counts for all.
//! - Consistent hashing maps keys over *all* endpoints and walks on from an ejected one. So only the ejected
//!   endpoint's keys move, and they come back with it. (Envoy rebuilds its table from the healthy ones, which moves
//!   other keys too.)
//!
//! # Examples
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use http_body_util::Empty;
//! use bytes::Bytes;
//! use llmesh::{base::ext::EndpointRef, balance::{Balance, EndpointSet, Params}, outlier};
//! use tower::{ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let set = EndpointSet::new("llm", Params::default(), Some(outlier::Params::default()));
//! set.update_from([("127.0.0.1:9001".parse().unwrap(), 1), ("127.0.0.1:9002".parse().unwrap(), 1)]);
//! let balance = Balance::new(set, |endpoint: &std::sync::Arc<llmesh::balance::Endpoint>| {
//!     let address = endpoint.address();
//!     service_fn(move |_: Request<Empty<Bytes>>| async move {
//!         let _ = address; // dial it
//!         Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
//!     })
//! });
//! let response = balance.oneshot(Request::new(Empty::new())).await.unwrap();
//! assert!(response.extensions().get::<EndpointRef>().is_some());
//! # }
//! ```

pub mod context;
pub mod dial;
pub mod endpoint;
pub mod flight;
pub mod future;
pub mod hash;
pub mod key;
pub mod layer;
pub mod load;
mod models;
pub mod params;
pub mod pick;
pub mod service;
pub mod set;
pub mod snapshot;

pub use self::{
    context::PickContext,
    dial::Dial,
    endpoint::{Endpoint, EndpointStats},
    future::ResponseFuture,
    layer::BalanceLayer,
    params::{EwmaParams, HashKey, HashTable, Params, Policy},
    service::Balance,
    set::{EndpointSet, Picked},
};
