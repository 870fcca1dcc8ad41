//! Every public service against a probing inner service: the tower contract.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]
