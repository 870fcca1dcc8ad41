//! Proxy: pool.
