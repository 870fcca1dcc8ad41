//! What retries cost.

use super::percent;
use crate::{
    base::Kind,
    classify::{Class, Outcome, Signal},
};

/// What is paid for: the AWS bucket has a price for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// The upstream failed.
    Fault,
    /// The upstream asked to slow down.
    Throttle,
    /// The attempt timed out.
    Timeout,
    /// Another target is asked instead: it is not the one in trouble, so this is cheaper than a
    /// retry: a fifth of one in a percent budget, half the price of throttling in a bucket.
    Fallback,
}

// === impl Price ===

impl Price {
    /// What a retry after this costs.
    #[must_use]
    pub fn of(class: &Class) -> Self {
        match (class.signal, class.outcome) {
            (Signal::Error(Kind::AttemptTimeout), _) | (_, Outcome::Timeout) => Self::Timeout,
            _ if throttled(class) => Self::Throttle,
            _ => Self::Fault,
        }
    }

    /// Its units in a percent budget. A fallback is a fifth of a retry, so that the standard budget (20 %) lets every
    /// request fall over once.
    pub(super) fn units(self) -> i64 {
        match self {
            Self::Fault | Self::Throttle | Self::Timeout => percent::UNIT,
            Self::Fallback => percent::UNIT / 5,
        }
    }
}

/// Whether the provider asked to slow down.
pub(in crate::layers::retry) fn throttled(class: &Class) -> bool {
    matches!(
        class.inner.unwrap_or(class.outcome),
        Outcome::RateLimited | Outcome::RampLimited
    ) || matches!(class.signal, Signal::Response { status, .. } if status == 429)
}
