//! Peak EWMA: a latency estimate that believes bad news at once and good news slowly.
//!
//! After Finagle's `PeakEwma`: a measurement above the estimate replaces it; one below moves it by
//! `1 - exp(-dt/decay)`, where `dt` is the time since the last measurement. An endpoint that is not used fades to zero
//! at the same rate, so it is tried again in time.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::params::EwmaParams;
use crate::base::time::Instant;

/// The latency estimate of one endpoint.
#[derive(Debug, Default)]
pub struct Load(Mutex<Option<Estimate>>);

#[derive(Clone, Copy, Debug)]
struct Estimate {
    seconds: f64,
    at: Instant,
}

// === impl Load ===

impl Load {
    /// Takes a measurement made at `now`.
    pub fn record(&self, params: &EwmaParams, took: Duration, now: Instant) {
        let mut estimate = self.lock();
        let took = took.as_secs_f64();
        let before = estimate.map_or(0.0, |e| e.seconds);
        let seconds = if took >= before {
            took
        } else {
            let kept = estimate.map_or(0.0, |e| fading(params, e.at, now));
            before * kept + took * (1.0 - kept)
        };
        *estimate = Some(Estimate { seconds, at: now });
    }

    /// The estimate at `now`, in seconds.
    #[must_use]
    pub fn estimate(&self, params: &EwmaParams, now: Instant) -> f64 {
        match *self.lock() {
            Some(e) => e.seconds * fading(params, e.at, now),
            None => params.default_rtt.as_secs_f64(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Estimate>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a value after the time from `then` to `now`.
fn fading(params: &EwmaParams, then: Instant, now: Instant) -> f64 {
    let decay = params.decay.as_secs_f64().max(f64::MIN_POSITIVE);
    (-now.saturating_duration_since(then).as_secs_f64() / decay).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_the_decay() {
        let (load, params, start) = (Load::default(), EwmaParams::default(), Instant::now());
        assert!(near(load.estimate(&params, start), 0.030));
        load.record(&params, 100 * MS, start);
        load.record(&params, 500 * MS, start);
        assert!(near(load.estimate(&params, start), 0.5));
        let later = start + params.decay;
        assert!(near(
            load.estimate(&params, later),
            0.5 / std::f64::consts::E
        ));
        load.record(&params, 100 * MS, later);
        let kept = (-1.0_f64).exp();
        let expected = 0.5 * kept + 0.1 * (1.0 - kept);
        assert!(near(load.estimate(&params, later), expected));
    }

    #[test]
    fn no_decay_time_keeps_only_the_last() {
        let params = EwmaParams {
            decay: Duration::ZERO,
            ..EwmaParams::default()
        };
        let (load, start) = (Load::default(), Instant::now());
        load.record(&params, 500 * MS, start);
        load.record(&params, 100 * MS, start + MS);
        assert!(near(load.estimate(&params, start + MS), 0.1));
    }
}
