//! The classify layer.
