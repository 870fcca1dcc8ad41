//! Errors to responses.
