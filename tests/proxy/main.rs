//! The proxy over real sockets on loopback.

mod discovery;
mod pool;
mod server;
mod support;
mod watch;
