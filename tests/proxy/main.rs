//! The proxy over real sockets on loopback.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]
