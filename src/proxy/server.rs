//! Proxy: server.
