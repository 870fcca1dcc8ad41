//! What the proxy noted per case, and the numbers drawn from it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::metrics::{Report, Summary};

/// Notes of one case.
#[derive(Clone, Debug, Default)]
pub(super) struct Case {
    pub(super) requests: u64,
    pub(super) attempts: u64,
    pub(super) hints: u64,
}

/// Collects the summaries of all requests by their `case` parameter.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<String, Case>>);

// === impl Tally ===

impl Tally {
    /// The notes of a case.
    pub(super) fn case(&self, name: &str) -> Case {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .cloned()
            .unwrap_or_default()
    }
}

impl Report for Tally {
    fn report(&self, summary: &Summary) {
        let query = summary
            .head
            .as_ref()
            .and_then(|h| h.uri.query())
            .unwrap_or_default();
        let Some(case) = query.split('&').find_map(|pair| pair.strip_prefix("case=")) else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.entry(case.to_owned()).or_default();
        entry.requests += 1;
        entry.attempts += u64::from(summary.notes.attempts);
        entry.hints += u64::from(summary.notes.hints_honoured);
    }

    fn wants_head(&self) -> bool {
        true
    }
}

impl Case {
    /// Attempts per request.
    #[expect(clippy::cast_precision_loss, reason = "counts of a short demo")]
    pub(super) fn per_request(&self) -> f64 {
        if self.requests == 0 {
            0.0
        } else {
            self.attempts as f64 / self.requests as f64
        }
    }
}

/// The value below which `percent` of the sorted samples lie; zero without samples.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let samples: Vec<_> = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 50), Duration::from_millis(50));
        assert_eq!(percentile(&samples, 99), Duration::from_millis(99));
        assert_eq!(percentile(&samples[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
