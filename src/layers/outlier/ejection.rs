//! When an endpoint is out and for how long: pure arithmetic.
//!
//! From Envoy's `DetectorImpl::ejectHost` and `checkHostForUneject`.

use std::time::Duration;

use super::params::Params;
use crate::base::time::Instant;

/// The ejections of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejection {
    since: Option<Instant>,
    /// How many times the base the ejection lasts. Up by one with each ejection, down by one with each healthy sweep.
    multiplier: u32,
}

/// Sweeps that are due: the first one's instant, the period, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweeps {
    /// When the first of them was due.
    pub first: Instant,
    /// The time between two.
    pub interval: Duration,
    /// How many, at least one.
    pub count: u64,
}

// === impl Ejection ===

impl Ejection {
    /// Whether it is out.
    #[must_use]
    pub const fn is_ejected(&self) -> bool {
        self.since.is_some()
    }

    /// Takes it out at `now`. Returns for how long at least; the first sweep after that lets it back.
    pub fn eject(&mut self, params: &Params, now: Instant) -> Duration {
        let (base, max) = (params.base_ejection, longest(params));
        if base.saturating_mul(self.multiplier) < max.saturating_add(base) {
            self.multiplier = self.multiplier.saturating_add(1);
        }
        self.since = Some(now);
        self.lasts(params)
    }

    /// How much of the ejection is left at `now`, not counting the wait for the sweep. Zero if it is not out.
    #[must_use]
    pub fn left(&self, params: &Params, now: Instant) -> Duration {
        self.since.map_or(Duration::ZERO, |since| {
            (since + self.lasts(params)).saturating_duration_since(now)
        })
    }

    /// Applies sweeps. Returns whether one of them let it back in.
    pub fn sweep(&mut self, params: &Params, due: Sweeps) -> bool {
        let Some(since) = self.since else {
            self.healthy_sweeps(due.count);
            return false;
        };
        // The number of sweeps that still find it out.
        let end = since + self.lasts(params);
        let wait = end.saturating_duration_since(due.first).as_nanos();
        let skipped = wait.div_ceil(due.interval.as_nanos().max(1));
        let Some(after) = u128::from(due.count).checked_sub(skipped + 1) else {
            return false;
        };
        self.since = None;
        self.healthy_sweeps(u64::try_from(after).unwrap_or(u64::MAX));
        true
    }

    fn healthy_sweeps(&mut self, count: u64) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.multiplier = self.multiplier.saturating_sub(count);
    }

    fn lasts(&self, params: &Params) -> Duration {
        params
            .base_ejection
            .saturating_mul(self.multiplier)
            .min(longest(params))
    }
}

/// Whether one more of `total` may be taken out while `ejected` are.
#[must_use]
pub fn may_eject(params: &Params, ejected: usize, total: usize) -> bool {
    let percent = params.max_ejection_percent.min(100) as usize;
    total > 0 && 100_usize.saturating_mul(ejected + 1) <= percent.saturating_mul(total)
}

/// Whether a set of `total` endpoints is large enough for any ejection. If not, the percentage makes outlier detection
/// idle: worth a warning.
#[must_use]
pub fn can_ever_eject(params: &Params, total: usize) -> bool {
    may_eject(params, 0, total)
}

fn longest(params: &Params) -> Duration {
    params.max_ejection.max(params.base_ejection)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn sweeps(first: Instant, count: u64) -> Sweeps {
        Sweeps {
            first,
            interval: INTERVAL,
            count,
        }
    }

    #[test]
    fn lasts_longer_each_time_up_to_the_longest_and_shrinks_with_healthy_sweeps() {
        let params = Params::default();
        let mut ejection = Ejection::default();
        let mut now = Instant::now();
        for n in 1..=10_u64 {
            let lasts = ejection.eject(&params, now);
            assert_eq!(lasts, Duration::from_secs(30 * n));
            now += lasts;
            assert!(ejection.sweep(&params, sweeps(now, 1)));
        }
        // Beyond the tenth the length stays at 300 s and the multiplier stops at 11.
        for _ in 0..5 {
            assert_eq!(ejection.eject(&params, now), Duration::from_secs(300));
            now += Duration::from_secs(300);
            assert!(ejection.sweep(&params, sweeps(now, 1)));
        }
        assert_eq!(ejection.multiplier, 11);
        assert!(!ejection.sweep(&params, sweeps(now, 9)));
        assert_eq!(ejection.eject(&params, now), Duration::from_secs(90));
    }

    #[test]
    fn many_sweeps_at_once_are_the_same_as_one_by_one() {
        let params = Params::default();
        for offset in [0, 1, 9_999, 10_000, 29_999, 30_000, 30_001, 95_000] {
            for multiplier in 0..4 {
                let start = Instant::now();
                let fresh = Ejection {
                    since: Some(start),
                    multiplier,
                };
                let first = start + Duration::from_millis(offset);
                for count in 1..20 {
                    let (mut bulk, mut single) = (fresh, fresh);
                    let back = bulk.sweep(&params, sweeps(first, count));
                    let mut back_single = false;
                    for i in 0..count {
                        let at = first + INTERVAL * u32::try_from(i).unwrap();
                        back_single |= single.sweep(&params, sweeps(at, 1));
                    }
                    assert_eq!((bulk, back), (single, back_single), "{offset} {count}");
                }
            }
        }
    }

    #[test]
    fn the_share_counts_the_one_to_go() {
        let percent = |p| Params::default().with_max_ejection_percent(p);
        for (max, ejected, total, may) in [
            (50, 0, 3, true),
            (50, 1, 3, false),
            (50, 1, 4, true),
            (30, 0, 3, false),
            (33, 0, 3, false),
            (34, 0, 3, true),
            (10, 0, 9, false),
            (10, 0, 10, true),
            (10, 1, 10, false),
            (100, 2, 3, true),
            (0, 0, 100, false),
            (100, 0, 0, false),
        ] {
            assert_eq!(
                may_eject(&percent(max), ejected, total),
                may,
                "{max} {total}"
            );
        }
        assert!(!can_ever_eject(&percent(30), 3));
        assert!(can_ever_eject(&percent(50), 3));
    }

    #[test]
    fn a_base_over_300_s_is_its_own_longest() {
        let params = Params::default().with_base_ejection(Duration::from_secs(400));
        let mut ejection = Ejection::default();
        let now = Instant::now();
        assert_eq!(ejection.eject(&params, now), Duration::from_secs(400));
        assert_eq!(ejection.eject(&params, now), Duration::from_secs(400));
    }
}
