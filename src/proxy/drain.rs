//! Proxy: drain.
