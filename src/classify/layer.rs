//! Classification: layer.
