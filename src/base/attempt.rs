//! Why an attempt is given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::error::Kind;

/// Why an attempt is being dropped, when it is not because the caller went away.
///
/// Dropping a future says nothing of the reason, and the reason decides whose fault it is: an attempt that ran into
/// the per-try timeout counts against its endpoint, one whose caller hung up does not. Whoever drops an attempt for a
/// timeout of its own sets the kind just before, and clears it before the next attempt. A deadline that the *caller*
/// made short is left unset: a caller must not be able to discredit an endpoint.
///
/// While the caller owes more of its request body, no timeout is the endpoint's fault: then nothing is set.
#[derive(Clone, Debug, Default)]
pub struct CancelReason(Arc<Mutex<Reason>>);

#[derive(Debug, Default)]
struct Reason {
    why: Option<Kind>,
    caller_lags: bool,
}

impl CancelReason {
    /// Sets the reason, unless the caller lags, or clears all for a new attempt.
    pub fn set(&self, why: Option<Kind>) {
        let mut reason = lock(&self.0);
        if why.is_none() {
            *reason = Reason::default();
        } else if !reason.caller_lags {
            reason.why = why;
        }
    }

    /// Notes whether the attempt waits for more of the caller's body.
    pub fn caller_lags(&self, lags: bool) {
        lock(&self.0).caller_lags = lags;
    }

    /// The reason; `None`: the caller went away.
    #[must_use]
    pub fn why(&self) -> Option<Kind> {
        lock(&self.0).why
    }
}

/// A panic while the lock was held leaves plain data behind, which stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
