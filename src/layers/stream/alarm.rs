//! One timer for all clocks of an attempt.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::clocks::{Check, Limit};
use crate::base::time::{Instant, Sleep, sleep_until};

/// A timer that is set as seldom as possible: clocks that move on do not touch it. It looks at them when it goes off, and is
/// set to what they say then.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Whether it is set.
    set: bool,
}

// === impl Alarm ===

impl Alarm {
    /// Forgets what it was set to: something may run out sooner now.
    pub(super) fn reset(&mut self) {
        self.set = false;
    }

    /// Waits for a limit to be passed.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut check: impl FnMut(Instant) -> Check,
    ) -> Poll<Limit> {
        loop {
            if let Some(sleep) = self.sleep.as_mut().filter(|_| self.set) {
                ready!(sleep.as_mut().poll(cx));
                self.set = false;
            }
            let due = match check(Instant::now()) {
                Check::Up(limit) => return Poll::Ready(limit),
                Check::Fine(None) => return Poll::Pending,
                Check::Fine(Some(due)) => due,
            };
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(due),
                none => *none = Some(Box::pin(sleep_until(due))),
            }
            self.set = true;
        }
    }
}
