//! The respond layer.
