//! Body wrapper: timed.
