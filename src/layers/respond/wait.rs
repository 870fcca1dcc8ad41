//! A wait as `retry-after` has it.

use std::time::Duration;

/// Rounded up: a caller that comes back early is refused again.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
}
