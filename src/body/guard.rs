//! Body wrapper: guard.
