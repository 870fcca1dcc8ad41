//! limits

pub mod concurrency;
