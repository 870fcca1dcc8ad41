//! The parameters in force, one word each: a decision reads those that it needs, without a count of readers, a fraction or a
//! division.
//!
//! They are not changed as one: for a moment a decision may see a new share beside an old floor. Each is right by itself, and
//! the state that they are applied to is exact.

use std::{
    sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{Budget, percent, price::Price};
use crate::base::Share;

#[derive(Debug)]
pub(super) enum Words {
    Percent(PercentWords),
    Bucket(BucketWords),
}

#[derive(Debug)]
pub(super) struct PercentWords {
    /// The share's bits.
    share: AtomicU64,
    min_per_second: AtomicU32,
    ttl: Duration,
    /// The share in units.
    units: AtomicI64,
    /// The floor over the whole life, in units.
    reserve: AtomicI64,
}

#[derive(Debug)]
pub(super) struct BucketWords {
    capacity: AtomicU32,
    fault: AtomicU32,
    throttle: AtomicU32,
    timeout: AtomicU32,
}

// === impl Words ===

impl Words {
    pub(super) fn new(params: Budget) -> Self {
        let words = match params {
            Budget::Percent { ttl, .. } => Self::Percent(PercentWords {
                share: AtomicU64::default(),
                min_per_second: AtomicU32::default(),
                ttl,
                units: AtomicI64::default(),
                reserve: AtomicI64::default(),
            }),
            Budget::TokenBucket { .. } => Self::Bucket(BucketWords {
                capacity: AtomicU32::default(),
                fault: AtomicU32::default(),
                throttle: AtomicU32::default(),
                timeout: AtomicU32::default(),
            }),
        };
        words.set(params);
        words
    }

    /// Puts others in force; `false`, and nothing is changed, if they are of another kind or another life of deposits.
    pub(super) fn set(&self, params: Budget) -> bool {
        match (self, params) {
            (
                Self::Percent(words),
                Budget::Percent {
                    share,
                    min_per_second,
                    ttl,
                },
            ) if words.ttl == ttl => {
                words.share.store(share.get().to_bits(), Relaxed);
                words.min_per_second.store(min_per_second, Relaxed);
                words.units.store(percent::units(share), Relaxed);
                let reserve = percent::reserve(min_per_second, ttl);
                words.reserve.store(reserve, Relaxed);
                true
            }
            (
                Self::Bucket(words),
                Budget::TokenBucket {
                    capacity,
                    fault_cost,
                    throttle_cost,
                    timeout_cost,
                },
            ) => {
                words.capacity.store(capacity, Relaxed);
                words.fault.store(fault_cost, Relaxed);
                words.throttle.store(throttle_cost, Relaxed);
                words.timeout.store(timeout_cost, Relaxed);
                true
            }
            _ => false,
        }
    }

    /// They as they were given.
    pub(super) fn get(&self) -> Budget {
        match self {
            Self::Percent(words) => Budget::Percent {
                share: Share::new(f64::from_bits(words.share.load(Relaxed))).unwrap_or_default(),
                min_per_second: words.min_per_second.load(Relaxed),
                ttl: words.ttl,
            },
            Self::Bucket(words) => Budget::TokenBucket {
                capacity: words.capacity.load(Relaxed),
                fault_cost: words.fault.load(Relaxed),
                throttle_cost: words.throttle.load(Relaxed),
                timeout_cost: words.timeout.load(Relaxed),
            },
        }
    }
}

// === impl PercentWords ===

impl PercentWords {
    /// What a request deposits.
    pub(super) fn units(&self) -> i64 {
        self.units.load(Relaxed)
    }

    /// What is always there.
    pub(super) fn reserve(&self) -> i64 {
        self.reserve.load(Relaxed)
    }
}

// === impl BucketWords ===

impl BucketWords {
    pub(super) fn capacity(&self) -> u32 {
        self.capacity.load(Relaxed)
    }

    pub(super) fn cost(&self, price: Price) -> u32 {
        match price {
            Price::Fault => self.fault.load(Relaxed),
            Price::Throttle => self.throttle.load(Relaxed),
            Price::Timeout => self.timeout.load(Relaxed),
            Price::Fallback => (self.throttle.load(Relaxed) / 2).max(1),
        }
    }
}
