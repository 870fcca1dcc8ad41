//! Floor 5: the proxy.
//!
//! Sockets, connections, names and files: everything that the layers below leave to somebody else. Sockets are made at
//! two seams, [`Accept`](listener::Accept) and [`Connect`](connect::Connect), so that the rest can run over a simulated
//! network.

use std::pin::Pin;

pub mod connect;
pub mod discovery;
pub mod drain;
pub mod listener;
pub mod pool;
pub mod server;
pub mod watch;

/// A boxed future, as the object-safe seams return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
