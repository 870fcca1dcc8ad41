//! The concurrency layer.
