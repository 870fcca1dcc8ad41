//! A request that counts.

use super::{Limits, expect::Answered, lane::Stream};

/// A request on a connection, until its response is over.
pub(super) struct Active {
    pub(super) limits: Limits,
    pub(super) answered: Option<Answered>,
    _stream: Option<Stream>,
}

// === impl Active ===

impl Active {
    pub(super) fn new(limits: &Limits, stream: Option<Stream>) -> Self {
        limits.stats().rq_active.inc();
        Self {
            limits: limits.clone(),
            answered: None,
            _stream: stream,
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.limits.stats().rq_active.dec();
        self.answered = None;
    }
}
