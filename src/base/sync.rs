//! The primitives under cores that share state, so that a model checker can stand in for them.
//!
//! Built with `--cfg llmesh_loom` they are loom's, which explores every order of the steps between them
//! (`tests/loom.rs`); else they are the standard library's. The name is our own because tokio and others have a meaning for
//! `loom`. What is not imported from here (parameters in an `ArcSwap`, one-time cells) is taken as one step.

#[cfg(llmesh_loom)]
pub(crate) use loom::sync::{Arc, Mutex, MutexGuard, atomic};
#[cfg(not(llmesh_loom))]
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, atomic};
