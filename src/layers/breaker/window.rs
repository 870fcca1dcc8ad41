//! A sliding window of outcomes: ten time buckets in a ring.
//!
//! Counting costs a bucket update; summing costs ten additions, whatever the traffic. The window moves by a tenth of
//! its length at a time, so it covers between nine tenths and all of it.

use std::time::Duration;

use crate::base::time::Instant;

const BUCKETS: usize = 10;

/// Successes and failures of the recent past.
#[derive(Clone, Debug, Default)]
pub struct Window {
    origin: Option<Instant>,
    width: Duration,
    buckets: [Bucket; BUCKETS],
}

/// Outcomes in the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All calls.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which tenth since the origin it holds, from 1; 0 is none.
    tick: u64,
    totals: Totals,
}

// === impl Window ===

impl Window {
    /// Counts one outcome at `now` in a window of this length. A changed length starts afresh.
    pub fn record(&mut self, length: Duration, failed: bool, now: Instant) {
        let tick = self.tick(length, now);
        let slot = slot(tick);
        let bucket = &mut self.buckets[slot];
        if bucket.tick != tick {
            *bucket = Bucket {
                tick,
                totals: Totals::default(),
            };
        }
        bucket.totals.calls += 1;
        bucket.totals.failures += u64::from(failed);
    }

    /// What the window of this length holds at `now`.
    pub fn totals(&mut self, length: Duration, now: Instant) -> Totals {
        let tick = self.tick(length, now);
        self.buckets
            .iter()
            .filter(|b| b.tick > 0 && b.tick + BUCKETS as u64 > tick)
            .fold(Totals::default(), |sum, b| Totals {
                calls: sum.calls + b.totals.calls,
                failures: sum.failures + b.totals.failures,
            })
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn tick(&mut self, length: Duration, now: Instant) -> u64 {
        let width = (length / BUCKETS as u32).max(Duration::from_nanos(1));
        if self.width != width {
            self.clear();
            self.width = width;
        }
        let since = now.saturating_duration_since(*self.origin.get_or_insert(now));
        u64::try_from(since.as_nanos() / width.as_nanos()).map_or(u64::MAX / 2, |n| n + 1)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "below BUCKETS")]
fn slot(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(10);

    fn totals(calls: u64, failures: u64) -> Totals {
        Totals { calls, failures }
    }

    #[test]
    fn old_outcomes_leave_a_tenth_at_a_time() {
        let (mut window, start) = (Window::default(), Instant::now());
        for s in 0..10 {
            window.record(LENGTH, s < 5, start + Duration::from_secs(s));
        }
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(window.totals(LENGTH, at(9)), totals(10, 5));
        assert_eq!(window.totals(LENGTH, at(10)), totals(9, 4));
        assert_eq!(window.totals(LENGTH, at(14)), totals(5, 0));
        assert_eq!(window.totals(LENGTH, at(19)), totals(0, 0));
    }

    #[test]
    fn a_bucket_is_reused_after_a_full_turn() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.record(LENGTH, true, start);
        window.record(LENGTH, false, start + Duration::from_secs(10));
        assert_eq!(
            window.totals(LENGTH, start + Duration::from_secs(10)),
            totals(1, 0)
        );
    }

    #[test]
    fn many_past_successes_do_not_hide_present_failures() {
        let (mut window, start) = (Window::default(), Instant::now());
        for _ in 0..100_000 {
            window.record(LENGTH, false, start);
        }
        let later = start + LENGTH;
        for _ in 0..10 {
            window.record(LENGTH, true, later);
        }
        assert_eq!(window.totals(LENGTH, later), totals(10, 10));
    }

    #[test]
    fn another_length_starts_afresh() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.record(LENGTH, true, start);
        assert_eq!(window.totals(LENGTH * 2, start), totals(0, 0));
    }
}
