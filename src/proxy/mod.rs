//! Floor 5: the proxy.
//!
//! Sockets, connections, names and files: everything that the layers below leave to somebody else. Sockets are made at
//! two seams, [`Accept`](listener::Accept) and [`Connect`](connect::Connect), so that the rest can run over a simulated
//! network.
//!
//! [`Proxy::start`] is the whole of it: configuration in, a running proxy out. It can be embedded.

use std::pin::Pin;

pub mod admin;
pub mod connect;
pub mod discovery;
mod dispatch;
pub mod drain;
pub mod listener;
mod options;
pub mod pool;
pub mod registry;
pub mod reload;
mod running;
pub(crate) mod sanitize;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod watch;

pub use self::{
    options::Options,
    reload::{Input, LoadError, Reloader},
    running::{Proxy, StartError},
};

/// A boxed future, as the object-safe seams return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
