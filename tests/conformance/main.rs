//! Istio YAML and requests to expected decisions.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "tests")]
