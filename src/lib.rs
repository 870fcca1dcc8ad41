//! llmesh: the service mesh for AI traffic as a library.

pub mod base;
pub mod body;
pub mod classify;
#[cfg(feature = "proxy")]
pub mod cli;
#[cfg(feature = "config")]
pub mod config;
pub mod layers;
#[cfg(feature = "llm")]
pub mod llm;
pub mod model;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod stack;
#[cfg(feature = "test-util")]
pub mod testing;

pub use crate::layers::{
    balance, breaker, deadline, limit, metrics, outlier, respond, retry, route, trace,
};
