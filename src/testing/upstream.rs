//! Test utility: upstream.
