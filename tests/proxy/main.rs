//! The proxy over real sockets on loopback.
#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "in helpers of tests too, a panic is how a test fails"
)]

mod clients;
mod discovery;
mod mesh_client;
mod mock;
mod pool;
mod server;
mod support;
mod upstream;
mod watch;
