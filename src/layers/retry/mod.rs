//! Retries that do no harm: sends a request again where that helps, and nowhere else.
//!
//! - *What* is retried are Envoy's retry-on terms ([`RetryOn`]), read from Istio's list by [`RetryOn::envoy`].
//! - A provider's verdict wins over them: an empty account, a prompt over the context window or a refused key is not
//!   asked twice, whatever is listed.
//! - *When*: after the provider's own hint if there is one, else after Envoy's jittered back-off; never so late that
//!   the answer could not come before the request's [`Deadline`](crate::base::ext::Deadline).
//! - *How many*: a number per request, a [`RetryBudget`] over all requests, and a ceiling of concurrent retries.
//! - *Where*: at one hop. What its sender sends again is sent once here, and what the hop below gave up on is not sent again
//!   to it (see [`hops`](crate::base::hops)).
//! - Each attempt may have a per-try timeout, which runs while the attempt has a connection
//!   ([`TryClock`](crate::base::ext::TryClock)). A route deadline that comes sooner wins.
//!
//! The request body is kept while it streams to the first attempt, up to
//! [`replay_cap`](Params::replay_cap); a longer one passes, but its request is sent only once. Nothing is retried
//! after a response was handed on. A response that will be retried is dropped, body and all, before the wait.
//!
//! Where another target could answer instead ([`Chain`](crate::base::ext::Chain)), the same one is asked again only if the
//! class recommends it, a hint is waited for only up to [`fallback_hint`](Params::fallback_hint), and no wait takes more
//! than half of what is left: time spent here is missing there.
//!
//! With no retries or no terms the layer is a pass-through: no copy of the request's head, no per-try timeout.
//!
//! Whoever has rules of their own brings a [`Policy`] (`examples/own_retry_policy.rs`).
//!
//! Dropping the response future drops the attempt under way, the wait and the hold on the ceiling.
//!
//! # Examples
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{Empty, Full};
//! use llmesh::retry::{Params, RetryLayer, RetryOn};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let policy = Params::default()
//!     .with_retries(3)
//!     .with_retry_on(RetryOn::envoy("5xx,reset,connect-failure,429")?);
//! let client = ServiceBuilder::new()
//!     .layer(RetryLayer::new(policy))
//!     .service(service_fn(|_request| async {
//!         Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
//!     }));
//! let request = Request::new(Full::new(Bytes::from_static(b"{}")));
//! assert_eq!(client.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

mod asked;
mod attempt;
mod backoff;

pub mod budget;
mod future;
mod judge;
mod kept;
mod layer;
pub mod params;
pub mod policy;
pub mod retry_on;
mod service;
mod stats;

pub use self::{
    budget::RetryBudget,
    future::ResponseFuture,
    layer::RetryLayer,
    params::{Params, RetryOn},
    policy::Policy,
    service::Retry,
    stats::Stats,
};
