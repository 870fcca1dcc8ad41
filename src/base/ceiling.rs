//! A counter with a lid: how many of something may exist at once.
//!
//! Envoy calls these "circuit breakers" (`max_requests`, `max_retries`, …); they are ceilings, not state machines. A
//! permit is taken without waiting or refused at once, and given back on drop. The lid can be moved while permits are
//! out (config reload): permits already out stay valid, later ones see the new lid.

use std::sync::Arc;

use crate::base::sync::atomic::{AtomicU64, Ordering};

/// A shared, adjustable ceiling. Cloning shares the count.
#[derive(Clone, Debug)]
pub struct Ceiling(Arc<State>);

/// What a ceiling's permits share.
#[derive(Debug)]
pub(crate) struct State {
    limit: AtomicU64,
    used: AtomicU64,
    refused: AtomicU64,
}

/// One unit of a [`Ceiling`], given back on drop.
#[derive(Debug)]
#[must_use = "a permit is given back as soon as it is dropped"]
pub struct Permit(Arc<State>);

// === impl Ceiling ===

impl Ceiling {
    /// A ceiling of `limit` units.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(State {
            limit: AtomicU64::new(limit),
            used: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// A ceiling that never refuses, but counts.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Takes a permit, or `None` if the ceiling is reached.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        self.take().map(Permit)
    }

    /// Takes one that [`State::give_back`] must give back, or `None` if the ceiling is reached.
    pub(crate) fn take(&self) -> Option<Arc<State>> {
        let limit = self.0.limit.load(Ordering::Relaxed);
        let taken = self
            .0
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |used| {
                (used < limit).then_some(used + 1)
            });
        if taken.is_err() {
            self.0.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(Arc::clone(&self.0))
    }

    /// Moves the lid. Permits already out are kept, even above the new limit.
    pub fn set_limit(&self, limit: u64) {
        self.0.limit.store(limit, Ordering::Relaxed);
    }

    /// The present lid.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many permits are out.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}

// === impl State ===

impl State {
    /// Gives back one that was taken.
    pub(crate) fn give_back(&self) {
        self.used.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Permit ===

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_at_the_lid_and_gives_back_on_drop() {
        let ceiling = Ceiling::new(2);
        let a = ceiling.try_acquire();
        let b = ceiling.try_acquire();
        assert!(a.is_some() && b.is_some() && ceiling.try_acquire().is_none());
        drop(a);
        assert_eq!((ceiling.used(), ceiling.refused()), (1, 1));
        assert!(ceiling.try_acquire().is_some());
    }

    #[test]
    fn lowering_the_lid_keeps_permits_that_are_out() {
        let ceiling = Ceiling::new(3);
        let held: Vec<_> = (0..3).map(|_| ceiling.try_acquire()).collect();
        ceiling.set_limit(1);
        assert_eq!(ceiling.used(), 3);
        assert!(ceiling.try_acquire().is_none());
        drop(held);
        assert_eq!(ceiling.used(), 0);
        assert!(ceiling.try_acquire().is_some());
    }

    #[test]
    fn zero_admits_nothing() {
        assert!(Ceiling::new(0).try_acquire().is_none());
    }
}
