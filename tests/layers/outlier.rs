//! The outlier layer.
