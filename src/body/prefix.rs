//! Body wrapper: prefix.
