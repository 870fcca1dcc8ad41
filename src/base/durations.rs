//! How often something took how long: a histogram with Envoy's bounds, for statistics pages.

use std::time::Duration;

use super::counter::Counter;

/// Envoy's default bounds in milliseconds, as they are written, and in microseconds.
const BOUNDS: [(&str, u64); 19] = [
    ("0.5", 500),
    ("1", 1_000),
    ("5", 5_000),
    ("10", 10_000),
    ("25", 25_000),
    ("50", 50_000),
    ("100", 100_000),
    ("250", 250_000),
    ("500", 500_000),
    ("1000", 1_000_000),
    ("2500", 2_500_000),
    ("5000", 5_000_000),
    ("10000", 10_000_000),
    ("30000", 30_000_000),
    ("60000", 60_000_000),
    ("300000", 300_000_000),
    ("600000", 600_000_000),
    ("1800000", 1_800_000_000),
    ("3600000", 3_600_000_000),
];

/// Durations by their size. Counts are of each size alone; [`buckets`](Self::buckets) adds them up.
#[derive(Debug, Default)]
pub struct Durations {
    sizes: [Counter; BOUNDS.len()],
    /// Longer than the last bound.
    longer: Counter,
    micros: Counter,
}

impl Durations {
    /// One more.
    pub fn note(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let size = BOUNDS.iter().position(|(_, most)| micros <= *most);
        let size = size.and_then(|size| self.sizes.get(size));
        size.unwrap_or(&self.longer).inc();
        self.micros.add(micros);
    }

    /// All of them together, in whole milliseconds.
    #[must_use]
    pub fn sum_ms(&self) -> u64 {
        self.micros.get() / 1000
    }

    /// Each bound in milliseconds with how many took no longer, and last `+Inf` with all of them: as Prometheus has it.
    #[must_use]
    pub fn buckets(&self) -> Vec<(&'static str, u64)> {
        let mut up_to = 0;
        let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
        let sizes = self.sizes.iter().chain([&self.longer]);
        let added = sizes.map(|size| {
            up_to += size.get();
            up_to
        });
        bounds.zip(added).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_is_below_it() {
        let durations = Durations::default();
        for micros in [1, 500, 501, 1_000, 7_000, 3_600_000_001] {
            durations.note(Duration::from_micros(micros));
        }
        let buckets = durations.buckets();
        assert_eq!(buckets.len(), 20);
        assert_eq!(buckets[..4], [("0.5", 2), ("1", 4), ("5", 4), ("10", 5)]);
        assert_eq!(buckets[18..], [("3600000", 5), ("+Inf", 6)]);
        assert_eq!(durations.sum_ms(), 3_600_009);
    }
}
