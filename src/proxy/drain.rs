//! Stopping in order: nothing new, what runs may end, and in the end a limit to that.
//!
//! One [`Signal`] tells any number of [`Watch`]es. Each connection holds a [`Live`] guard, so the signal knows when all
//! are gone.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use crate::base::time::Instant;

/// How far stopping has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Serving,
    /// No new connections; requests that run may end.
    Draining,
    /// Everything ends now.
    Stopped,
}

/// Tells everybody to stop. Dropping it stops nothing.
#[derive(Clone, Debug)]
pub struct Signal(Arc<State>);

/// Hears when to stop.
#[derive(Clone, Debug)]
pub struct Watch(Arc<State>);

/// Something that must end before all is drained.
#[derive(Debug)]
#[must_use = "it counts until it is dropped"]
pub struct Live(Arc<State>);

#[derive(Debug)]
struct State {
    phase: watch::Sender<Phase>,
    live: watch::Sender<usize>,
}

/// A signal and its watch.
#[must_use]
pub fn channel() -> (Signal, Watch) {
    let state = Arc::new(State {
        phase: watch::Sender::new(Phase::Serving),
        live: watch::Sender::new(0),
    });
    (Signal(Arc::clone(&state)), Watch(state))
}

// === impl Signal ===

impl Signal {
    /// Starts draining. Nothing happens if it has begun already.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Ends everything now.
    pub fn stop(&self) {
        self.advance(Phase::Stopped);
    }

    /// Drains for at most `time`, then stops what is left. Returns whether all ended by themselves. Returns early after
    /// a [`stop`](Self::stop) by somebody else.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the phase that was reached.
    pub async fn drain_for(&self, time: Duration) -> bool {
        self.drain();
        let deadline = Instant::now() + time;
        let watch = Watch(Arc::clone(&self.0));
        tokio::select! {
            biased;
            () = watch.stopped() => return self.live() == 0,
            () = self.empty() => {}
            () = tokio::time::sleep_until(deadline) => {}
        }
        let all = self.live() == 0;
        self.stop();
        all
    }

    /// How many [`Live`] guards are out.
    #[must_use]
    pub fn live(&self) -> usize {
        *self.0.live.borrow()
    }

    /// Waits until no [`Live`] guard is out.
    pub async fn empty(&self) {
        let mut live = self.0.live.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = live.wait_for(|n| *n == 0).await;
    }

    /// The watch of this signal.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.0))
    }

    fn advance(&self, to: Phase) {
        self.0.phase.send_if_modified(|phase| {
            let later = to > *phase;
            if later {
                *phase = to;
            }
            later
        });
    }
}

// === impl Watch ===

impl Watch {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// Waits until draining has begun.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn draining(&self) {
        self.reached(Phase::Draining).await;
    }

    /// Waits until everything must end.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn stopped(&self) {
        self.reached(Phase::Stopped).await;
    }

    /// Counts something until the guard is dropped.
    pub fn hold(&self) -> Live {
        self.0.live.send_modify(|n| *n += 1);
        Live(Arc::clone(&self.0))
    }

    async fn reached(&self, wanted: Phase) {
        let mut phase = self.0.phase.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = phase.wait_for(|phase| *phase >= wanted).await;
    }
}

// === impl Live ===

impl Drop for Live {
    fn drop(&mut self) {
        self.0.live.send_modify(|n| *n = n.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn draining_ends_with_the_last_guard() {
        let (signal, watch) = channel();
        let live = watch.hold();
        let drained = tokio::spawn({
            let signal = signal.clone();
            async move { signal.drain_for(Duration::from_secs(5)).await }
        });
        watch.draining().await;
        assert_eq!(watch.phase(), Phase::Draining);
        tokio::time::sleep(Duration::from_secs(1)).await;
        drop(live);
        assert!(drained.await.unwrap());
        assert_eq!(watch.phase(), Phase::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_at_the_deadline_and_says_so() {
        let (signal, watch) = channel();
        let live = watch.hold();
        let begin = Instant::now();
        assert!(!signal.drain_for(Duration::from_secs(5)).await);
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
        watch.stopped().await;
        drop(live);
        signal.empty().await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_it_now_and_nothing_goes_back() {
        let (signal, watch) = channel();
        let _live = watch.hold();
        let drained = tokio::spawn({
            let signal = signal.clone();
            async move { signal.drain_for(Duration::from_secs(5)).await }
        });
        watch.draining().await;
        let begin = Instant::now();
        signal.stop();
        assert!(!drained.await.unwrap());
        assert_eq!(begin.elapsed(), Duration::ZERO);
        signal.drain();
        assert_eq!(watch.phase(), Phase::Stopped);
    }
}
