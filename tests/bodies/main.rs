//! Body wrappers over scripted frames.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]
