//! Test utility: probe.
