//! The mechanisms, each usable alone.
//!
//! Every mechanism has the same shape: `params.rs` is plain validated data; a synchronous core takes `now`, the
//! parameters and random draws as arguments; `layer.rs` and `service.rs` adapt it to tower.

pub mod authz;
pub mod balance;
pub mod breaker;
#[cfg(feature = "llm")]
pub mod call;
#[cfg(feature = "llm")]
pub mod callers;
pub mod context;
pub mod deadline;
#[cfg(feature = "llm")]
pub mod fallback;
pub mod limit;
pub mod metrics;
#[cfg(feature = "llm")]
pub mod models;
pub mod outlier;
pub mod respond;
pub mod retry;
pub mod route;
pub mod spans;
#[cfg(feature = "llm")]
pub mod stream;
pub mod trace;
#[cfg(feature = "llm")]
pub mod usage;
