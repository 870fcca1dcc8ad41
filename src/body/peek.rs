//! Body wrapper: peek.
