//! Proxy: connect.
