//! Floor 5: the proxy.

pub mod connect;
pub mod discovery;
pub mod drain;
pub mod listener;
pub mod pool;
pub mod server;
