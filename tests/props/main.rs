//! Properties over random input.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

#[cfg(feature = "llm")]
mod answers;
mod balance;
mod bodies;
#[cfg(feature = "proxy")]
mod corpus;
mod limit;
mod retry;
mod route;
#[cfg(feature = "llm")]
mod stream;
mod trace;
