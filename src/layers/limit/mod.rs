//! Limits: how much at once, how much in a while.

pub mod concurrency;
#[cfg(feature = "llm")]
pub mod tokens;
