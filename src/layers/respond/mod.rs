//! Errors become responses here, and nowhere else.
//!
//! Layers return errors, so that those above can still act on them: a retry wants a kind, not a 503. At the edge the
//! caller needs a response; [`RespondLayer`] makes it, with the status, body and access-log notes that Envoy would give,
//! so that dashboards and clients built against a sidecar read it unchanged. Details and sources of an error stay here:
//! the caller sees the kind's fixed text only.
//!
//! The caller of an LLM API gets an answer in that API's own shape and words instead of Envoy's text, so that its SDK reads
//! it, and is told what came of the request:
//!
//! | header | says | when |
//! |---|---|---|
//! | `x-should-retry: false` | a repetition is in vain, or was tried here | the decision is final |
//! | `x-should-retry: true`, `retry-after-ms`, `retry-after` | when to come back, within a minute | a repetition helps |
//! | `x-llmesh-class` | the [`Outcome`](crate::classify::Outcome) | the answer is not a success |
//! | `x-llmesh-attempts` | how many were made, over all targets | the same |
//! | `x-llmesh-target` | the cluster that the answer is from, or was to be from | the same, and for a fallback's answer |
//! | `x-llmesh-model` | the model that was asked in place of the caller's | a fallback answered |
//!
//! An upstream's failure has the status of its class: whether a quota is empty or the key is refused, providers say it in
//! many ways. A key that was put on here is not spoken of: its 401 is a 502. A stream that fails after its head tells it in
//! an event of the caller's API and then ends uncleanly. What is no LLM call, gRPC among it, passes as it is.
//!
//! Whatever the call, a hop of a mesh above, which is a caller that counts its attempts, is told where no repetition is left
//! here: see [`hops`](crate::base::hops).
//!
//! A route has [`InRouteLayer`] outermost: what its policy says of answers holds there, and its header operations apply to
//! what is made of errors as to all else. [`RespondLayer`] stands outside of all routes, for what fails before one is found, and
//! passes what a route has answered.
//!
//! Cancelling drops the inner call; nothing is held.
//!
//! ```
//! use http::StatusCode;
//! use llmesh::{base::{Kind, error::ConnectFailure}, respond};
//!
//! let answer = respond::answer(Kind::Connect(ConnectFailure::Refused), false);
//! assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
//! assert_eq!(
//!     answer.body,
//!     "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
//! );
//! ```
#![doc = ""]
#![doc = include_str!("caller.md")]

mod answer;
mod asked;
#[cfg(feature = "llm")]
mod caller;
mod limits;
mod refusal;
mod response;
mod route;
mod service;
#[cfg(feature = "llm")]
mod told;
#[cfg(feature = "llm")]
mod verdict;
mod wait;

pub use self::{
    answer::{Answer, answer, cut, grpc_status},
    asked::AnswersTo,
    route::{InRoute, InRouteFuture, InRouteLayer},
    service::{Respond, RespondLayer, ResponseFuture},
};
