//! One limit of a provider, as it was last heard of.

use std::time::Duration;

use super::{Need, Unit};
use crate::base::time::Instant;

/// What was left at an instant, and how it fills.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) unit: Unit,
    pub(super) limit: Option<f64>,
    pub(super) remaining: f64,
    /// Time from `at` until it is full.
    pub(super) reset: Duration,
    pub(super) at: Instant,
}

// === impl Bucket ===

impl Bucket {
    /// Whether nothing can be short of it any more.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= self.reset
    }

    /// When there is room for a request, if there is none now.
    pub(super) fn short_until(&self, need: Need, now: Instant) -> Option<Instant> {
        let least = to_f64(self.unit.least(need));
        let full_at = self.at.checked_add(self.reset)?;
        if self.limit.is_some_and(|all| least > all) {
            return None;
        }
        // A guess is cut down to the whole bucket.
        let need = to_f64(self.unit.of(need)).min(self.limit.unwrap_or(f64::INFINITY));
        if now >= full_at || need <= self.remaining {
            return None;
        }
        let until = match self.limit {
            Some(all) if all > self.remaining => {
                let share = (need - self.remaining) / (all - self.remaining);
                self.at
                    .checked_add(self.reset.mul_f64(share.clamp(0.0, 1.0)))?
            }
            _ => full_at,
        };
        (until > now).then_some(until)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "tokens of one request are far below 2⁵³"
)]
fn to_f64(n: u64) -> f64 {
    n as f64
}
