//! The proxy over real sockets on loopback.
