//! Concurrency ceilings.
