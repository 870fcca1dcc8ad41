//! Parameters of outlier detection: Istio's `outlierDetection`.

use std::{collections::BTreeSet, time::Duration};

/// When an endpoint is ejected and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// 5xx responses (and local failures unless split) in a row. 0 is off.
    pub consecutive_5xx: u32,
    /// 502, 503, 504 (and local failures unless split) in a row. 0 is off.
    pub consecutive_gateway: u32,
    /// Local failures in a row, when split. 0 is off.
    pub consecutive_local: u32,
    /// Whether local failures (connect, reset, timeout) have a counter of their own.
    pub split_local: bool,
    /// Period of the sweep that lets endpoints back in.
    pub interval: Duration,
    /// Ejection lasts this times the number of ejections, at most [`max_ejection`](Self::max_ejection).
    pub base_ejection: Duration,
    /// The longest ejection (Envoy: 300 s, or the base if that is longer).
    pub max_ejection: Duration,
    /// At most this percentage of all endpoints is ejected.
    pub max_ejection_percent: u32,
    /// These statuses count as errors in place of 5xx. Empty: 5xx.
    pub error_statuses: BTreeSet<u16>,
}

impl Default for Params {
    /// Istio's `outlierDetection: {}`.
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway: 0,
            consecutive_local: 5,
            split_local: false,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejection_percent: 10,
            error_statuses: BTreeSet::new(),
        }
    }
}

impl Params {
    /// Sets the 5xx responses in a row that eject (0 is off).
    #[must_use]
    pub fn with_consecutive_5xx(mut self, errors: u32) -> Self {
        self.consecutive_5xx = errors;
        self
    }

    /// Sets the gateway errors in a row that eject (0 is off).
    #[must_use]
    pub fn with_consecutive_gateway(mut self, errors: u32) -> Self {
        self.consecutive_gateway = errors;
        self
    }

    /// Counts local failures apart; this many in a row eject (0 is off).
    #[must_use]
    pub fn with_split_local(mut self, errors: u32) -> Self {
        self.split_local = true;
        self.consecutive_local = errors;
        self
    }

    /// Sets the sweep period.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the base ejection time; the longest becomes the greater of it and 300 s.
    #[must_use]
    pub fn with_base_ejection(mut self, base: Duration) -> Self {
        self.base_ejection = base;
        self.max_ejection = base.max(Duration::from_secs(300));
        self
    }

    /// Sets the share of endpoints that may be ejected, in percent (values above 100 count as 100).
    #[must_use]
    pub fn with_max_ejection_percent(mut self, percent: u32) -> Self {
        self.max_ejection_percent = percent.min(100);
        self
    }

    /// Sets the statuses that count as errors in place of 5xx.
    #[must_use]
    pub fn with_error_statuses(mut self, statuses: BTreeSet<u16>) -> Self {
        self.error_statuses = statuses;
        self
    }
}
