//! The proxy over real sockets on loopback.

mod mock;
mod upstream;
