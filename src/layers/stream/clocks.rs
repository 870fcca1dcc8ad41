//! The clocks of one attempt: pure.
//!
//! Until the answer is handed on, time is the attempt's own: it runs from the send, and stands still while the attempt waits for a
//! connection or for its caller. After that only waiting for the upstream counts: a reader who is slow, and so asks for
//! nothing, is not the upstream's silence. [`Flow`] therefore has a time of its own, which runs while somebody waits.
//!
//! Pings, comments and empty deltas prove that a connection lives, not that a model does: only content counts.

use std::time::Duration;

use super::Clocks;
use crate::base::{Kind, time::Instant};

/// Into how many parts the window of the throughput floor is cut. It slides by one at a time.
const SLOTS: u64 = 16;
/// The last whole window, and the part that is not over.
const RING: usize = SLOTS as usize + 1;

/// What the attempt waits for before its answer is handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The response head. Where the answer is known to be a stream, its first content is waited for too: the head of an
    /// answer that comes in one piece comes when the answer is complete.
    Head {
        /// Whether the answer is known to be a stream.
        streams: bool,
    },
    /// The first content.
    Body,
}

/// What a look at the clocks gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Nothing can run out before this; look again then. `None`: nothing runs.
    Fine(Option<Instant>),
    /// Time is up.
    Up(Limit),
}

/// A limit that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// From the send to the head.
    Headers,
    /// From the send to the first content.
    FirstToken,
    /// From one content to the next.
    InterToken,
    /// Content in a window.
    Throughput,
}

/// The times of a stream that is handed on.
#[derive(Clone, Debug)]
pub struct Flow {
    limits: Clocks,
    /// What is left until the first content; `None` once it came, or if nothing limits it.
    first: Option<Duration>,
    /// Whether content came, or something that may be content.
    begun: bool,
    /// Whether the last that came was content, so that more of it is due.
    paced: bool,
    /// Time spent in waiting, up to `since`.
    waited: Duration,
    /// Since when somebody waits.
    since: Option<Instant>,
    /// When the last content came, in time waited.
    last: Duration,
    /// When the first came: there the windows begin.
    origin: Duration,
    /// Contents in each part of the window, by its number.
    counts: [u32; RING],
    /// The number of the part that is not over.
    slot: u64,
}

// === impl Clocks ===

impl Clocks {
    /// Whether any limit is set.
    #[must_use]
    pub fn any(&self) -> bool {
        self.headers.is_some() || self.first_token.is_some() || self.flows()
    }

    /// Whether a limit runs after the first content.
    fn flows(&self) -> bool {
        self.inter_token.is_some() || self.slot().is_some()
    }

    /// A part of the throughput's window; `None` if nothing is demanded.
    fn slot(&self) -> Option<Duration> {
        let slot = self.window / u32::try_from(SLOTS).unwrap_or(1);
        self.min_tokens_per_second
            .filter(|least| least.is_finite() && *least > 0.0)
            .filter(|_| !slot.is_zero())
            .map(|_| slot)
    }

    /// A look before the answer is handed on. `since` is when the attempt was sent, `None` while it is not, or its caller
    /// owes more of it: then nothing can run out before a whole limit from `now`.
    #[must_use]
    pub fn check(&self, stage: Stage, since: Option<Instant>, now: Instant) -> Check {
        let first = self.first_token.map(|limit| (limit, Limit::FirstToken));
        let head = self.headers.map(|limit| (limit, Limit::Headers));
        let (streams, head) = match stage {
            Stage::Head { streams } => (streams, head),
            Stage::Body => (true, None),
        };
        let Some((limit, which)) = head
            .into_iter()
            .chain(first.filter(|_| streams))
            .min_by_key(|(limit, _)| *limit)
        else {
            return Check::Fine(None);
        };
        match since.unwrap_or(now).checked_add(limit) {
            Some(due) if due <= now && since.is_some() => Check::Up(which),
            due => Check::Fine(due),
        }
    }
}

// === impl Limit ===

impl Limit {
    /// The error it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Headers => Kind::HeadersTimeout,
            Self::FirstToken => Kind::FirstTokenTimeout,
            Self::InterToken | Self::Throughput => Kind::StreamStalled,
        }
    }

    /// What to say beside the kind.
    #[must_use]
    pub fn detail(self) -> Option<&'static str> {
        match self {
            Self::Headers | Self::FirstToken => None,
            Self::InterToken => Some("no content within the inter-token timeout"),
            Self::Throughput => Some("less content than the throughput floor demands"),
        }
    }
}

// === impl Flow ===

impl Flow {
    /// A stream that is handed on. `first` is what is left until the first content if none came, and if that is limited.
    #[must_use]
    pub fn new(limits: Clocks, first: Option<Duration>) -> Self {
        Self {
            limits,
            first,
            begun: false,
            paced: false,
            waited: Duration::ZERO,
            since: None,
            last: Duration::ZERO,
            origin: Duration::ZERO,
            counts: [0; RING],
            slot: 0,
        }
    }

    /// Whether any clock runs, now or later.
    #[must_use]
    pub fn any(&self) -> bool {
        self.first.is_some() || self.limits.flows()
    }

    /// Whether content came, or something that may be content.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Whether somebody waits for the upstream.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.since.is_some()
    }

    /// Somebody waits for the upstream.
    pub fn wait(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Something came, content or not.
    pub fn woke(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// So many contents came, after [`woke`](Self::woke).
    pub fn content(&mut self, events: u32) {
        if !self.paced {
            (self.begun, self.paced, self.first) = (true, true, None);
            (self.origin, self.slot, self.counts) = (self.waited, 0, [0; RING]);
        }
        self.last = self.waited;
        self.turn(self.waited);
        if let Some(count) = self.counts.get_mut(ring(self.slot)) {
            *count = count.saturating_add(events);
        }
    }

    /// Something came that nobody understands, after [`woke`](Self::woke). It is no token, and no token is due after it.
    pub fn opaque(&mut self) {
        (self.begun, self.paced, self.first) = (true, false, None);
    }

    /// A look at `now`.
    #[must_use]
    pub fn check(&mut self, now: Instant) -> Check {
        let waits = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let time = self.waited + waits;
        let mut due = self.first;
        let mut which = Limit::FirstToken;
        if self.paced {
            due = self
                .limits
                .inter_token
                .map(|limit| self.last.saturating_add(limit));
            which = Limit::InterToken;
            let floor = self.floor(time);
            if let Some(floor) = floor.filter(|floor| due.is_none_or(|due| *floor < due)) {
                (due, which) = (Some(floor), Limit::Throughput);
            }
        }
        match due {
            Some(due) if due <= time => Check::Up(which),
            due => Check::Fine(due.and_then(|due| now.checked_add(due - time))),
        }
    }

    /// When the floor is missed unless more content comes: in time waited, at the end of a part of the window. In the past if
    /// it is missed.
    fn floor(&mut self, time: Duration) -> Option<Duration> {
        let slot = self.limits.slot()?;
        let need = self.limits.min_tokens_per_second? * self.limits.window.as_secs_f64();
        self.turn(time);
        // Judged where a part ends, once a window is full; the part that is not over counts for the ends to come.
        let current = self.slot;
        let first = current.max(SLOTS);
        let end = (first..=current + SLOTS).find(|end| {
            let parts = (end - SLOTS)..(*end).min(current + 1);
            let sum: u64 = parts.map(|n| u64::from(self.count(n))).sum();
            #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
            let sum = sum as f64;
            sum < need
        });
        let end = end.unwrap_or(current + SLOTS + 1);
        let end = slot.saturating_mul(u32::try_from(end).unwrap_or(u32::MAX));
        Some(self.origin.saturating_add(end))
    }

    /// Goes on to the part of the window that `time` is in, and forgets what is older than a window.
    fn turn(&mut self, time: Duration) {
        let Some(slot) = self.limits.slot() else {
            return;
        };
        let elapsed = time.saturating_sub(self.origin).as_nanos() / slot.as_nanos().max(1);
        let now = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let passed = now.saturating_sub(self.slot);
        for n in 1..=passed.min(RING as u64) {
            if let Some(count) = self.counts.get_mut(ring(now - passed.min(RING as u64) + n)) {
                *count = 0;
            }
        }
        self.slot = self.slot.max(now);
    }

    fn count(&self, slot: u64) -> u32 {
        self.counts.get(ring(slot)).copied().unwrap_or(0)
    }
}

/// The place of a part of the window.
fn ring(slot: u64) -> usize {
    usize::try_from(slot % RING as u64).unwrap_or(0)
}

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
