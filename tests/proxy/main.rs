//! The proxy over real sockets on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod discovery;
mod pool;
mod server;
mod support;
mod watch;
