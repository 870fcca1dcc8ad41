//! Properties over random input.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]

#[cfg(feature = "test-util")]
mod answers;
mod authz;
mod balance;
mod bodies;
#[cfg(all(feature = "serve", feature = "test-util"))]
mod corpus;
mod limit;
mod retry;
#[cfg(feature = "regex")]
mod route;
#[cfg(feature = "llm")]
mod stream;
mod trace;
