//! Body wrapper: replay.
