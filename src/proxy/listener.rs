//! Proxy: listener.
