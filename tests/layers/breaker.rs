//! The breaker layer.
