//! Errors become responses here, and nowhere else.
//!
//! Layers return errors, so that those above can still act on them: a retry wants a kind, not a 503. At the edge the
//! caller needs a response; [`RespondLayer`] makes it, with the status, body and access-log notes that Envoy would give,
//! so that dashboards and clients built against a sidecar read it unchanged. Details and sources of an error stay here:
//! the caller sees the kind's fixed text only.
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

mod answer;
mod limits;
mod service;

pub use self::{
    answer::{Answer, answer, cut, grpc_status},
    service::{Respond, RespondLayer, ResponseFuture},
};
