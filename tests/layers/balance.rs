//! The balance layer.
