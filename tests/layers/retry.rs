//! The retry layer.
