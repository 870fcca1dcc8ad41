//! Classification: hint.
