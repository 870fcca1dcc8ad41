//! What a request owes when it is over.

use std::fmt;

use bytes::Bytes;

use super::admit::Held;
use crate::base::{
    cost::Ledger,
    quota::{Quota, Unit},
    time::Instant,
};

/// Settles a request's reservations when it is dropped: with the body's end, its failure, or whenever it is given up.
pub(super) struct Settle {
    held: Held,
    ledger: Ledger,
    /// The answer is a success.
    success: bool,
    /// Some of its body was passed on.
    answered: bool,
}

// === impl Settle ===

impl Settle {
    pub(super) fn new(held: Held, ledger: Ledger) -> Self {
        Self {
            held,
            ledger,
            success: false,
            answered: false,
        }
    }

    /// The head of the answer is here.
    pub(super) fn head(&mut self, success: bool) {
        self.success = success;
    }

    /// Some of its body passes.
    pub(super) fn data(&mut self, chunk: &Bytes) {
        self.answered |= !chunk.is_empty();
    }

    pub(super) fn quotas(&self, now: Instant) -> Vec<Quota> {
        self.held.quotas(now)
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        let spent = self.ledger.all();
        let total = spent
            .iter()
            .fold(0_u64, |sum, s| sum.saturating_add(s.usage.total()));
        // A success of which nobody noted the cost.
        let unknown = spent.is_empty() && self.success && self.answered;
        let estimated = unknown || spent.iter().any(|s| s.estimated);
        let now = Instant::now();
        for taken in self.held.take() {
            let reserved = taken.reservation.amount();
            let actual = match taken.unit {
                Unit::Requests => reserved,
                Unit::Tokens if unknown => reserved,
                Unit::Tokens => total,
            };
            taken.reservation.settle(actual, now);
            if taken.unit == Unit::Tokens {
                taken.state.stats.tokens.add(actual);
                if estimated {
                    taken.state.stats.estimated.inc();
                }
            }
        }
    }
}

impl fmt::Debug for Settle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Settle").field(&self.held).finish()
    }
}
