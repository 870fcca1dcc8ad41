//! A request that waits for a connection.

use tokio::sync::oneshot;

use super::{Limits, error::DialFailure};
use crate::base::{Error, Kind, Permit};

/// A place in a queue.
pub(super) trait Queue {
    /// Gives it up.
    fn leave(&self);
}

/// A waiting request: counted, and out of its queue when dropped.
pub(super) struct Pending<Q: Queue> {
    limits: Limits,
    _permit: Permit,
    queue: Q,
    over: bool,
}

// === impl Pending ===

impl<Q: Queue> Pending<Q> {
    /// Leave to wait.
    ///
    /// # Errors
    /// [`Kind::Overflow`] if too many wait already.
    pub(super) fn permit(limits: &Limits) -> Result<Permit, Error> {
        limits.pending().try_acquire().ok_or_else(|| {
            limits.stats().rq_pending_overflow.inc();
            Error::new(Kind::Overflow).with_detail("too many requests wait for a connection")
        })
    }

    /// A request in `queue`.
    pub(super) fn new(limits: Limits, permit: Permit, queue: Q) -> Self {
        limits.stats().rq_pending_total.inc();
        limits.stats().rq_pending_active.inc();
        Self {
            limits,
            _permit: permit,
            queue,
            over: false,
        }
    }

    /// Waits for what the queue gives.
    ///
    /// # Errors
    /// What became of the dial.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the queue; what was granted in the same moment goes back or is closed.
    pub(super) async fn wait<T>(
        mut self,
        grant: oneshot::Receiver<Result<T, DialFailure>>,
    ) -> Result<T, DialFailure> {
        let granted = grant.await;
        self.over = true;
        granted.unwrap_or_else(|_| Err(DialFailure::abandoned()))
    }
}

impl<Q: Queue> Drop for Pending<Q> {
    fn drop(&mut self) {
        self.limits.stats().rq_pending_active.dec();
        if !self.over {
            self.limits.stats().rq_cancelled.inc();
            self.queue.leave();
        }
    }
}
