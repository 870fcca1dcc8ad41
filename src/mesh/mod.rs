//! Floor 5: a mesh at work.
//!
//! Connections, names, files, and the state that outlives a configuration: everything between a [`Model`](crate::model::Model)
//! and an answered request that is the same for a proxy and for a client inside a process. Connections are made at the
//! seam [`Connect`](connect::Connect) and names resolved at [`Resolve`](discovery::Resolve), so that all of it can run over
//! a simulated network.

use std::pin::Pin;

pub mod connect;
pub mod discovery;
pub mod pool;
pub mod registry;
pub mod reload;
mod sanitize;
pub mod snapshot;
pub mod watch;

pub use self::{
    reload::{Input, LoadError, Reloader},
    sanitize::outbound as sanitize_outbound,
};

/// A boxed future, as the object-safe seams return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
