//! Why an attempt is given up.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::{error::Kind, time::Instant};

/// Why an attempt is being dropped, when it is not because the caller went away.
///
/// Dropping a future says nothing of the reason, and the reason decides whose fault it is: an attempt that ran into a timeout of this
/// side counts against its endpoint, one whose caller hung up does not. For a deadline that does not move the clock tells: an attempt
/// that is dropped at it or later ran out of time. What no clock tells, a [`CancelCause`] does. A deadline that the *caller* made
/// short is no reason: a caller must not be able to discredit an endpoint.
#[derive(Clone, Debug, Default)]
pub struct CancelReason {
    ours: Option<Instant>,
    cause: Option<CancelCause>,
}

/// A reason that no clock tells: a limit that moves while a connection or the caller is waited for.
///
/// Whoever drops an attempt for a timeout of its own sets the kind just before, and clears it before the next attempt.
///
/// While the caller owes more of its request body, no timeout is the endpoint's fault: then nothing is set.
#[derive(Clone, Debug, Default)]
pub struct CancelCause(Arc<Mutex<Cause>>);

#[derive(Debug, Default)]
struct Cause {
    why: Option<Kind>,
    caller_lags: bool,
}

// === impl CancelReason ===

impl CancelReason {
    /// `ours` is the instant at which a limit of this side ends all of it, `cause` what was said before that.
    #[must_use]
    pub const fn new(ours: Option<Instant>, cause: Option<CancelCause>) -> Self {
        Self { ours, cause }
    }

    /// The reason, if the attempt is dropped now; `None`: the caller went away.
    #[must_use]
    pub fn why(&self) -> Option<Kind> {
        if let Some(cause) = &self.cause {
            let cause = lock(&cause.0);
            if cause.why.is_some() || cause.caller_lags {
                return cause.why;
            }
        }
        let ended = self.ours.is_some_and(|at| at <= Instant::now());
        ended.then_some(Kind::DeadlineExceeded)
    }
}

// === impl CancelCause ===

impl CancelCause {
    /// Sets the reason, unless the caller lags, or clears all for a new attempt.
    pub fn set(&self, why: Option<Kind>) {
        let mut cause = lock(&self.0);
        if why.is_none() {
            *cause = Cause::default();
        } else if !cause.caller_lags {
            cause.why = why;
        }
    }

    /// Notes whether the attempt waits for more of the caller's body.
    pub fn caller_lags(&self, lags: bool) {
        lock(&self.0).caller_lags = lags;
    }

    /// What was said.
    #[must_use]
    pub fn why(&self) -> Option<Kind> {
        lock(&self.0).why
    }
}

/// A panic while the lock was held leaves plain data behind, which stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn no_timeout_is_noted_while_the_caller_lags() {
        let cause = CancelCause::default();
        cause.caller_lags(true);
        cause.set(Some(Kind::DeadlineExceeded));
        assert_eq!(cause.why(), None);
        cause.caller_lags(false);
        cause.set(Some(Kind::AttemptTimeout));
        assert_eq!(cause.why(), Some(Kind::AttemptTimeout));
        cause.caller_lags(true);
        cause.set(None);
        cause.set(Some(Kind::AttemptTimeout));
        assert_eq!(cause.why(), Some(Kind::AttemptTimeout));
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_tells_unless_something_was_said_or_the_caller_lags() {
        let end = Instant::now() + Duration::from_secs(1);
        let cause = CancelCause::default();
        let told = CancelReason::new(Some(end), Some(cause.clone()));
        let alone = CancelReason::new(Some(end), None);
        assert_eq!((told.why(), alone.why()), (None, None));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let ended = Some(Kind::DeadlineExceeded);
        assert_eq!((told.why(), alone.why()), (ended, ended));
        cause.caller_lags(true);
        assert_eq!((told.why(), alone.why()), (None, ended));
        cause.set(None);
        cause.set(Some(Kind::AttemptTimeout));
        assert_eq!(told.why(), Some(Kind::AttemptTimeout));
        assert_eq!(CancelReason::default().why(), None);
    }
}
