//! The clock of an attempt.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use crate::base::time::{Instant, Sleep, sleep_until};

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
pub struct TryClock(Arc<Mutex<Reading>>);

/// Keeps a [`TryClock`] at zero until it and all others are dropped; then it starts from that instant.
#[derive(Debug)]
#[must_use = "the clock runs again as soon as this is dropped"]
pub struct Held(Arc<Mutex<Reading>>);

#[derive(Debug)]
struct Reading {
    since: Instant,
    /// Since when it is held, if it is.
    stopped: Instant,
    /// How many hold it.
    held: u32,
    /// Who waits for it to run again.
    waiting: Vec<Waker>,
}

// === impl TryClock ===

impl TryClock {
    /// A clock that runs from now.
    #[must_use]
    pub fn start() -> Self {
        let since = Instant::now();
        Self(Arc::new(Mutex::new(Reading {
            since,
            stopped: since,
            held: 0,
            waiting: Vec::new(),
        })))
    }

    /// Stops the clock at zero.
    pub fn hold(&self) -> Held {
        let mut clock = lock(&self.0);
        if clock.held == 0 {
            clock.stopped = Instant::now();
        }
        clock.held += 1;
        drop(clock);
        Held(Arc::clone(&self.0))
    }

    /// Since when it runs; `None` while it is held. Once let go it runs from that instant.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        let clock = lock(&self.0);
        (clock.held == 0).then_some(clock.since)
    }

    /// Completes when the clock has run for `limit`.
    ///
    /// # Cancel safety
    /// May be dropped and called again; the clock is not affected.
    pub async fn expired(&self, limit: Duration) {
        let mut timer = pin!(None::<Sleep>);
        poll_fn(|cx| {
            let Some(end) = self
                .read(cx)
                .ok()
                .and_then(|since| since.checked_add(limit))
            else {
                return Poll::Pending;
            };
            poll_timer(timer.as_mut(), end, cx)
        })
        .await;
    }

    /// Whom it is held for has done something: if it is held, it is so from now.
    pub fn progress(&self) {
        lock(&self.0).stopped = Instant::now();
    }

    /// Since when it runs; or else since when it is held, and then the task is woken when it runs.
    pub(super) fn read(&self, cx: &Context<'_>) -> Result<Instant, Instant> {
        let mut clock = lock(&self.0);
        if clock.held == 0 {
            return Ok(clock.since);
        }
        if !clock.waiting.iter().any(|w| w.will_wake(cx.waker())) {
            clock.waiting.push(cx.waker().clone());
        }
        Err(clock.stopped)
    }
}

/// Waits for an end that may have moved since the last time.
pub(super) fn poll_timer(
    mut timer: Pin<&mut Option<Sleep>>,
    end: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        match timer.as_mut().as_pin_mut() {
            None => timer.set(Some(sleep_until(end))),
            // The end has moved: an old one that is sooner is only a time to look again.
            Some(sleep)
                if sleep.deadline() > end || (sleep.deadline() < end && sleep.is_elapsed()) =>
            {
                sleep.reset(end);
            }
            Some(sleep) => {
                ready!(sleep.poll(cx));
                if Instant::now() >= end {
                    return Poll::Ready(());
                }
            }
        }
    }
}

// === impl Held ===

impl Drop for Held {
    fn drop(&mut self) {
        let mut clock = lock(&self.0);
        clock.held = clock.held.saturating_sub(1);
        clock.since = Instant::now();
        let waiting = if clock.held == 0 {
            std::mem::take(&mut clock.waiting)
        } else {
            Vec::new()
        };
        drop(clock);
        for waker in waiting {
            waker.wake();
        }
    }
}

/// A panic while the lock was held leaves plain data behind, which stays usable.
fn lock(clock: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_try_clock_stands_still_while_held() {
        let (clock, begin) = (TryClock::start(), Instant::now());
        let held = clock.hold();
        let limit = Duration::from_secs(10);
        let expired = tokio::spawn({
            let clock = clock.clone();
            async move { clock.expired(limit).await }
        });
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!expired.is_finished());
        drop(held);
        expired.await.unwrap();
        assert_eq!(begin.elapsed(), Duration::from_secs(70));
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_clock_runs_when_nobody_holds_it_any_more() {
        let (clock, begin) = (TryClock::start(), Instant::now());
        let (a, b) = (clock.hold(), clock.hold());
        let holders = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(a);
            tokio::time::sleep(Duration::from_secs(9)).await;
            drop(b);
        });
        clock.expired(Duration::from_secs(2)).await;
        assert_eq!(begin.elapsed(), Duration::from_secs(12));
        holders.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_clock_nobody_holds_runs_from_the_start() {
        let (clock, begin) = (TryClock::start(), Instant::now());
        clock.expired(Duration::from_millis(5)).await;
        assert_eq!(begin.elapsed(), Duration::from_millis(5));
    }
}
