//! Fallback: other targets for a request that its first one cannot serve.
//!
//! A chain is the route's own target and, in order, others: another subset, host or model. Each is a whole stack with
//! retries of its own, inside the one [`Deadline`](crate::base::ext::Deadline) of the request.
//!
//! - *Whether and where* to go on follows from what happened ([`chain`]): a fault goes anywhere, an empty account to another
//!   account, a prompt over the window to a larger one, a content filter's verdict only where that is allowed, a caller's
//!   mistake nowhere.
//! - *Who is asked first* follows from what is known ([`health`]): a target whose breaker is open, or that asked for a
//!   pause, is passed over at no cost. If all are failing, the one that will be soonest is asked all the same, and nobody
//!   after it: it may be better than is known. Only if each provider said that it will not serve before the deadline, the
//!   request is refused here, with the wait.
//!   A target that is healthy but says that too little is left of its limits ([`with_room`](FallbackLayer::with_room)) comes after
//!   all that are healthy and have room.
//! - *What is sent* is the request with the target's model, authority and key ([`Target`]). The caller's key never leaves the
//!   host it was sent to. Bytes that need not change do not.
//! - *What it costs*: each fallback is paid from the retry budget of the cluster it goes to, at a lower price than a retry
//!   ([`Price::Fallback`](crate::retry::budget::Price)). So the sum of all repetitions is bounded; and since a failing target is
//!   passed over, an outage soon costs nothing.
//! - *What the caller sees*: the answer as it came, with the model that it names. If all fail, the first error, of the
//!   target the caller meant. Which target it was stands in [`AnsweredBy`](crate::base::ext::AnsweredBy).
//!
//! With [`Resume::Prefill`], a stream that was cut after content goes on at the next target that takes it
//! ([`Target::prefill`](params::Target::prefill)): its text so far is sent along as
//! the beginning of the answer. OpenAI chat and Anthropic, plain text only: not of a call with tools, a structure, several
//! answers, sound or (Anthropic) thoughts, nor once a stop sequence was met. Who refuses that in so many words is not asked to go
//! on again for a while ([`Refusals`](crate::llm::refused::Refusals)), and the one after it is. If nobody goes on, or adds
//! anything, the stream ends with the error that cut it. The output tokens that the joined stream reports are those of its last
//! part plus one for each event before. A stream that may be joined is asked for without a coding.
//!
//! Answers are judged at their end; a stream that is cut after content counts against its target like a 503.
//!
//! A refused key (401) of the *caller* goes on to targets with another key as well: who may use the mesh's keys is for
//! authorization to say, not for the first provider.
//!
//! The request's body is kept up to 1 MiB while it streams; a longer one goes to one target only.
//!
//! # Cancel safety
//! Dropping the future ends the attempt under way. A probe that was dropped says nothing.
//!
//! # Examples
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use llmesh::{
//!     base::{BoxError, ext::AnsweredBy},
//!     body::Body,
//!     fallback::{FallbackLayer, Health, Params, Reach, Target},
//! };
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let answers = |status: u16| {
//!     service_fn(move |_: Request<Body>| async move {
//!         Ok::<_, BoxError>(Response::builder().status(status).body(Body::empty())?)
//!     })
//! };
//! let chain = FallbackLayer::new(
//!     Params::to([Target::new("outbound|443||backup.example")]),
//!     "outbound|443||llm.example",
//!     [Reach::new(answers(200))],
//!     Health::default(),
//! );
//! let client = chain.layer(answers(503));
//! let response = client.oneshot(Request::new(Body::from(Bytes::from_static(b"{}")))).await?;
//! assert_eq!(response.status(), 200);
//! assert_eq!(response.extensions().get::<AnsweredBy>().map(|by| by.place), Some(1));
//! # Ok(())
//! # }
//! ```
#![doc = ""]
#![doc = include_str!("chain.md")]

mod ask;
pub mod chain;
pub mod cooldown;
mod cut;
mod first;
pub mod health;
mod judging;
pub mod key;
mod layer;
pub mod params;
mod resume;
mod run;
mod service;
mod shared;
mod stats;
mod target;
mod watch;
pub mod who;

pub use self::{
    health::Health,
    key::{Key, OwnKeyed},
    layer::FallbackLayer,
    params::{Credential, KeyHeader, OwnKey, Params, Resume, Target},
    service::{Fallback, ResponseFuture},
    stats::Stats,
    target::Reach,
    who::{Account, TargetId},
};
