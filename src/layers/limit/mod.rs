//! Limits: how much at once, how much in a while.

pub mod concurrency;
pub mod keyed;
pub mod learned;
#[cfg(feature = "llm")]
pub mod tokens;
pub mod window;
