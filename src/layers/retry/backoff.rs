//! The wait before a retry where nobody asked for one.
//!
//! Exponential with full jitter, as Envoy's `JitteredExponentialBackOffStrategy`: before retry `n` (from 1) uniform in
//! `[0, min(base·2^(n−1), max))`. (Envoy's documentation writes `(2^n − 1)·base`; its code does this.)
//!
//! A provider of models that asks to slow down means seconds, not the milliseconds in which a service recovers: then the wait
//! is within a quarter of `pace·2^(n−1)`, never near nothing.

use std::time::Duration;

use super::params::Backoff;
use crate::base::SharedRng;

// === impl Backoff ===

impl Backoff {
    /// The wait before retry `retry` (1 is the first). `throttled` starts from
    /// [`throttle_base`](Self::throttle_base), where there is one.
    #[must_use]
    pub fn wait(&self, retry: u32, throttled: bool, rng: &SharedRng) -> Duration {
        let bound = self.bound(retry, throttled);
        if !self.jitter {
            return bound;
        }
        Duration::from_nanos(rng.below(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The wait before retry `retry` after a provider of models asked to slow down; `None` if there is no
    /// [`pace`](Self::pace).
    #[must_use]
    pub fn paced(&self, retry: u32, rng: &SharedRng) -> Option<Duration> {
        const SLOWEST: u32 = 8;
        let factor = 2_u32
            .checked_pow(retry.saturating_sub(1))
            .map_or(SLOWEST, |factor| factor.min(SLOWEST));
        let wait = self.pace?.saturating_mul(factor);
        let share = if self.jitter {
            0.75 + rng.unit() / 2.0
        } else {
            1.0
        };
        Duration::try_from_secs_f64(wait.as_secs_f64() * share).ok()
    }

    /// The upper bound of [`wait`](Self::wait).
    #[must_use]
    pub fn bound(&self, retry: u32, throttled: bool) -> Duration {
        let base = self
            .throttle_base
            .filter(|_| throttled)
            .unwrap_or(self.base);
        let factor = 2_u32
            .checked_pow(retry.saturating_sub(1))
            .unwrap_or(u32::MAX);
        base.saturating_mul(factor).min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn bounds_double_up_to_the_last() {
        let backoff = Backoff::default();
        let bounds: Vec<_> = (1..=6).map(|n| backoff.bound(n, false)).collect();
        assert_eq!(bounds, [25, 50, 100, 200, 250, 250].map(ms));
        assert_eq!(backoff.bound(u32::MAX, false), ms(250));
    }

    #[test]
    fn draws_fill_the_range_below_the_bound() {
        let (backoff, rng) = (Backoff::default(), SharedRng::seeded(1));
        let waits: Vec<_> = (0..10_000).map(|_| backoff.wait(2, false, &rng)).collect();
        assert!(waits.iter().all(|w| *w < ms(50)));
        let mean = waits.iter().sum::<Duration>() / 10_000;
        assert!(mean > ms(24) && mean < ms(26), "{mean:?}");
    }

    #[test]
    fn a_provider_that_asks_to_slow_down_means_seconds() {
        let (backoff, rng) = (Backoff::default(), SharedRng::seeded(1));
        for (retry, middle) in [(1, 1000), (2, 2000), (3, 4000), (4, 8000), (40, 8000)] {
            let waits: Vec<_> = (0..1000)
                .filter_map(|_| backoff.paced(retry, &rng))
                .collect();
            assert_eq!(waits.len(), 1000);
            let (least, most) = (ms(middle) * 3 / 4, ms(middle) * 5 / 4);
            assert!(waits.iter().all(|wait| (least..=most).contains(wait)));
            let mean = waits.iter().sum::<Duration>() / 1000;
            assert!(mean > ms(middle) * 19 / 20 && mean < ms(middle) * 21 / 20);
        }
        let exact = backoff.with_jitter(false);
        assert_eq!(exact.paced(2, &rng), Some(ms(2000)));
        assert_eq!(Backoff::from_base(ms(10)).paced(1, &rng), None);
    }

    #[test]
    fn without_jitter_the_wait_is_the_bound() {
        let (backoff, rng) = (Backoff::aws().with_jitter(false), SharedRng::seeded(1));
        assert_eq!(backoff.wait(2, false, &rng), ms(100));
        assert_eq!(backoff.wait(2, true, &rng), ms(2000));
    }
}
