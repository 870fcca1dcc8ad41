//! Durations as proto-JSON writes them.

use std::time::Duration;

/// A duration as proto-JSON writes it: `1.500s`, `30s`.
pub(super) fn seconds(d: Duration) -> String {
    if d.subsec_nanos() == 0 {
        format!("{}s", d.as_secs())
    } else {
        format!("{:.3}s", d.as_secs_f64())
    }
}
