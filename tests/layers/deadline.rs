//! The deadline layer.
