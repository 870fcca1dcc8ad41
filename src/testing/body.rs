//! Test utility: body.
