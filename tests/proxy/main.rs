//! The proxy over real sockets on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "in helpers of tests too, a panic is how a test fails"
)]

mod mock;
mod upstream;
