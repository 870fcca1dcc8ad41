//! The clock of one attempt, and why it is given up.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use crate::base::{error::Kind, time::Instant};

/// The clock of one attempt, which stands still while the attempt waits for a connection or for its caller.
///
/// Envoy starts the per-try timeout when the attempt has a connection and the request is complete; waiting for one is
/// bounded by the connect timeout and the route timeout only. Whoever acquires a connection calls
/// [`hold`](Self::hold) before it first yields and drops the guard once it has one; the body does so while the caller
/// owes more of it. Nobody holds: the clock runs from its creation.
///
/// Retry makes one for an attempt that has a per-try timeout. Whoever wants attempts timed for other reasons puts one into the
/// request above retry, which then renews it for each attempt.
#[derive(Clone, Debug)]
pub struct TryClock(Arc<watch::Sender<Reading>>);

/// Keeps a [`TryClock`] at zero until it and all others are dropped; then it starts from that instant.
#[derive(Debug)]
#[must_use = "the clock runs again as soon as this is dropped"]
pub struct Held(Arc<watch::Sender<Reading>>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    since: Instant,
    /// How many hold it.
    held: u32,
}

impl TryClock {
    /// A clock that runs from now.
    #[must_use]
    pub fn start() -> Self {
        Self(Arc::new(watch::Sender::new(Reading {
            since: Instant::now(),
            held: 0,
        })))
    }

    /// Stops the clock at zero.
    pub fn hold(&self) -> Held {
        self.0.send_modify(|clock| clock.held += 1);
        Held(Arc::clone(&self.0))
    }

    /// Since when it runs; `None` while it is held. Once let go it runs from that instant.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        let Reading { since, held } = *self.0.borrow();
        (held == 0).then_some(since)
    }

    /// Completes when the clock has run for `limit`.
    ///
    /// # Cancel safety
    /// May be dropped and called again; the clock is not affected.
    pub async fn expired(&self, limit: Duration) {
        let mut changes = self.0.subscribe();
        loop {
            let Reading { since, held } = *changes.borrow_and_update();
            let changed = changes.changed();
            if held == 0 {
                tokio::select! {
                    () = tokio::time::sleep_until(since + limit) => return,
                    // The sender lives in `self`, so the channel cannot close.
                    _ = changed => {}
                }
            } else {
                drop(changed.await);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.send_modify(|clock| {
            clock.held = clock.held.saturating_sub(1);
            clock.since = Instant::now();
        });
    }
}

/// Why an attempt is being dropped, when it is not because the caller went away.
///
/// Dropping a future says nothing of the reason, and the reason decides whose fault it is: an attempt that ran into
/// the per-try timeout counts against its endpoint, one whose caller hung up does not. Whoever drops an attempt for a
/// timeout of its own sets the kind just before, and clears it before the next attempt. A deadline that the *caller*
/// made short is left unset: a caller must not be able to discredit an endpoint.
///
/// While the caller owes more of its request body, no timeout is the endpoint's fault: then nothing is set.
#[derive(Clone, Debug, Default)]
pub struct GivenUp(Arc<Mutex<Reason>>);

#[derive(Debug, Default)]
struct Reason {
    why: Option<Kind>,
    caller_lags: bool,
}

impl GivenUp {
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
