//! Until when a request may take, where that is not yet known because its caller still owes a part of it.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;

use crate::base::{
    Kind,
    clock::{Held, TryClock, poll_timer},
    ext::Deadline,
    time::{Instant, Sleep},
};

/// The body of the request is not known whole: its caller may owe more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uploading;

/// Times that begin when the request is complete, of those who bound it from outside in.
///
/// Whoever reads the body [`hold`](Self::hold)s them while the caller owes more of it.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Vec<(TryClock, Duration)>);

/// All that bounds a request: its [`Deadline`] and its [`Allowance`].
#[derive(Clone, Debug, Default)]
pub struct Until {
    fixed: Option<Deadline>,
    allowance: Allowance,
}

// === impl Allowance ===

impl Allowance {
    /// With another one inside.
    #[must_use]
    pub fn and(mut self, clock: TryClock, limit: Duration) -> Self {
        self.0.push((clock, limit));
        self
    }

    /// The clocks.
    pub fn clocks(&self) -> impl Iterator<Item = &TryClock> {
        self.0.iter().map(|(clock, _)| clock)
    }

    /// Stops all of them.
    #[must_use]
    pub fn hold(&self) -> Vec<Held> {
        self.clocks().map(TryClock::hold).collect()
    }

    /// When the first one ends, if from `now` on none is held.
    fn ends(&self, now: Instant) -> Option<Deadline> {
        let ends = self.0.iter().filter_map(|(clock, limit)| {
            let since = clock.since().unwrap_or(now);
            since.checked_add(*limit).map(Deadline)
        });
        ends.min()
    }
}

// === impl Until ===

impl Until {
    /// What bounds a request with this deadline and these extensions.
    #[must_use]
    pub fn of(fixed: Option<Deadline>, request: &Extensions) -> Self {
        Self {
            fixed,
            allowance: request.get::<Allowance>().cloned().unwrap_or_default(),
        }
    }

    /// With a time inside that begins when the request is complete.
    #[must_use]
    pub fn with(self, clock: TryClock, limit: Duration) -> Self {
        let allowance = self.allowance.and(clock, limit);
        Self { allowance, ..self }
    }

    /// The same with another fixed part.
    #[must_use]
    pub fn with_fixed(self, fixed: Option<Deadline>) -> Self {
        Self { fixed, ..self }
    }

    /// The part that does not move.
    #[must_use]
    pub const fn fixed(&self) -> Option<Deadline> {
        self.fixed
    }

    /// The part that begins when the request is complete.
    #[must_use]
    pub const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Whether the end may move.
    #[must_use]
    pub const fn moves(&self) -> bool {
        !self.allowance.0.is_empty()
    }

    /// The end as it looks at `now`; `None` is no limit.
    #[must_use]
    pub fn at(&self, now: Instant) -> Option<Deadline> {
        Deadline::sooner(self.fixed, self.allowance.ends(now))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(&self, now: Instant) -> bool {
        self.at(now).is_some_and(|end| end.0 <= now)
    }

    /// Whether at `now` it is the allowance that ends first.
    #[must_use]
    pub fn by_allowance(&self, now: Instant) -> bool {
        let ends = self.allowance.ends(now);
        ends.is_some_and(|ends| self.fixed.is_none_or(|fixed| ends <= fixed))
    }

    /// Completes when it has passed.
    ///
    /// # Cancel safety
    /// May be dropped and called again.
    pub async fn wait(&self) {
        let mut timer = pin!(None);
        poll_fn(|cx| self.poll(cx, timer.as_mut())).await;
    }

    /// Waits for it with this timer, which is set on the first wait.
    pub fn poll(&self, cx: &mut Context<'_>, timer: Pin<&mut Option<Sleep>>) -> Poll<()> {
        self.poll_end(cx, timer, false).map(drop)
    }

    /// The same, or until the caller has sent nothing for as long as a time that begins when the request is complete:
    /// [`Kind::DeadlineExceeded`] or [`Kind::UploadTimeout`].
    pub fn poll_or_stalled(
        &self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Option<Sleep>>,
    ) -> Poll<Kind> {
        self.poll_end(cx, timer, true)
    }

    fn poll_end(
        &self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Option<Sleep>>,
        stalls: bool,
    ) -> Poll<Kind> {
        let fixed = self.fixed.map(|fixed| (fixed.0, Kind::DeadlineExceeded));
        let ends = self.allowance.0.iter().filter_map(|(clock, limit)| {
            // One that is held wakes us when it runs.
            let (since, why) = match clock.read(cx) {
                Ok(since) => (since, Kind::DeadlineExceeded),
                Err(held) if stalls => (held, Kind::UploadTimeout),
                Err(_) => return None,
            };
            Some((since.checked_add(*limit)?, why))
        });
        let Some((end, why)) = fixed.into_iter().chain(ends).min_by_key(|(end, _)| *end) else {
            return Poll::Pending;
        };
        ready!(poll_timer(timer, end, cx));
        Poll::Ready(why)
    }
}
