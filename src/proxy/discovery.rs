//! Proxy: discovery.
