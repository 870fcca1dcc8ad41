//! Parameters of the circuit breaker.

use std::time::Duration;

use crate::base::Ratio;

/// When a circuit opens, how long it stays open and how it is probed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Failures in a row that open it. `None` turns this rule off.
    pub consecutive: Option<u32>,
    /// The failure rate that opens it. `None` turns this rule off.
    pub rate: Option<Rate>,
    /// How long it stays open the first time; doubled at each failed probe.
    pub open_for: Duration,
    /// The longest it stays open.
    pub max_open_for: Duration,
    /// Calls admitted at once while half-open; all must succeed for it to close.
    pub probes: u32,
}

/// Opens on a share of failures within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// Opens at or above this share of failures.
    pub threshold: Ratio,
    /// The window's length.
    pub window: Duration,
    /// Never opens on fewer calls than this in the window.
    pub min_calls: u32,
}

impl Default for Params {
    /// linkerd's failure accrual: 7 in a row, 1 s to 60 s open, one probe.
    fn default() -> Self {
        Self {
            consecutive: Some(7),
            rate: None,
            open_for: Duration::from_secs(1),
            max_open_for: Duration::from_secs(60),
            probes: 1,
        }
    }
}

impl Rate {
    /// A rate rule.
    #[must_use]
    pub fn new(threshold: Ratio, window: Duration, min_calls: u32) -> Self {
        Self {
            threshold,
            window,
            min_calls,
        }
    }
}

impl Params {
    /// Sets the failures in a row that open it.
    #[must_use]
    pub fn with_consecutive(mut self, failures: Option<u32>) -> Self {
        self.consecutive = failures;
        self
    }

    /// Sets the failure rate that opens it.
    #[must_use]
    pub fn with_rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Sets how long it stays open: at first, and at most.
    #[must_use]
    pub fn with_open_for(mut self, first: Duration, max: Duration) -> Self {
        self.open_for = first;
        self.max_open_for = max;
        self
    }

    /// Sets the number of half-open calls.
    #[must_use]
    pub fn with_probes(mut self, probes: u32) -> Self {
        self.probes = probes;
        self
    }
}
