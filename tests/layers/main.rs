//! One file per layer, over a scripted inner service, on a paused clock.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

mod balance;
mod breaker;
mod classify;
mod client_stack;
mod concurrency;
mod context;
mod deadline;
mod fallback;
mod kinds;
mod learned;
mod llm_stream;
mod models;
#[cfg(debug_assertions)]
mod order;
mod outlier;
mod respond;
mod retry;
mod route;
#[cfg(feature = "otel")]
mod spans;
mod stream;
mod timeouts;
#[cfg(feature = "llm")]
mod tokens;
mod trace;
mod usage;
mod verdict;
