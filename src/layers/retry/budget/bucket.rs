//! The token bucket of the AWS SDKs' standard retry mode.
//!
//! A retry costs tokens, more for a fault than for throttling; success gives the last price back, or one token if no
//! retry was needed. A dead target so gets a bounded number of retries, and then about one per fourteen successes
//! (smithy retry specification, <https://smithy.io/2.0/aws/retries.html>).

use crate::base::sync::atomic::{AtomicU32, Ordering};

#[derive(Debug)]
pub(super) struct Bucket(AtomicU32);

// === impl Bucket ===

impl Bucket {
    pub(super) fn new(capacity: u32) -> Self {
        Self(AtomicU32::new(capacity))
    }

    pub(super) fn withdraw(&self, cost: u32) -> bool {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(cost))
            .is_ok()
    }

    /// Puts tokens in, up to the capacity.
    pub(super) fn put(&self, tokens: u32, capacity: u32) {
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                Some(n.max(n.saturating_add(tokens).min(capacity)))
            });
    }

    pub(super) fn tokens(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }
}
