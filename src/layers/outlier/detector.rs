//! Counts what is seen of each endpoint, ejects and sweeps. No clock, no task, no address.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    ejection::{Ejection, Sweeps, may_eject},
    params::Params,
    seen::Observation,
};
use crate::base::{
    Counter,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Instant,
};

/// Decides over the members of one set.
#[derive(Debug)]
pub struct Detector {
    created: Instant,
    /// When the next sweep is due, in nanoseconds since `created`.
    next: AtomicU64,
    /// Held while an ejection or a sweep changes the set, so that the share of ejected members stays exact.
    changing: Mutex<()>,
    stats: Stats,
}

/// The counts and ejections of one member.
#[derive(Debug, Default)]
pub struct Host {
    consecutive_5xx: AtomicU32,
    consecutive_gateway: AtomicU32,
    consecutive_local: AtomicU32,
    ejected: AtomicBool,
    ejection: Mutex<Ejection>,
    /// It has answered since another member was first found [untrusted](Seen::Untrusted).
    proven: AtomicBool,
    /// It was found untrusted, and has not answered since.
    untrusted: AtomicBool,
}

/// Something that a [`Detector`] can watch.
pub trait Member {
    /// Its state.
    fn host(&self) -> &Host;
}

/// A member was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// Which counter reached its threshold.
    pub reason: Reason,
    /// How long it stays out at least; the next sweep after that ends it.
    pub lasts: Duration,
}

/// Which counter reached its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// 5xx responses.
    Consecutive5xx,
    /// Gateway errors.
    ConsecutiveGateway,
    /// Local failures, when split.
    ConsecutiveLocal,
}

/// What happened since the start. Names as in Envoy's `outlier_detection.*`.
#[derive(Debug, Default)]
pub struct Stats {
    /// Ejections made.
    pub ejections_total: Counter,
    /// Ejections that the greatest share forbade.
    pub ejections_overflow: Counter,
    /// Times the 5xx counter reached its threshold.
    pub consecutive_5xx: Counter,
    /// Times the gateway counter reached its threshold.
    pub consecutive_gateway: Counter,
    /// Times the local counter reached its threshold.
    pub consecutive_local: Counter,
}

// === impl Reason ===

impl Reason {
    /// Envoy's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consecutive5xx => "consecutive_5xx",
            Self::ConsecutiveGateway => "consecutive_gateway_failure",
            Self::ConsecutiveLocal => "consecutive_local_origin_failure",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl Host ===

impl Host {
    /// Whether it is out.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Acquire)
    }

    /// How much of its ejection is left at `now`, not counting the wait for the sweep.
    #[must_use]
    pub fn left(&self, params: &Params, now: Instant) -> Duration {
        lock(&self.ejection).left(params, now)
    }

    /// Lets it back in and forgets all: for a set whose detection is turned off.
    pub fn reset(&self) {
        let mut ejection = lock(&self.ejection);
        *ejection = Ejection::default();
        self.ejected.store(false, Ordering::Release);
        self.clear_counters();
    }

    /// Counts what was seen. Returns the counter that reached its threshold, which starts again from zero.
    fn count(&self, params: &Params, seen: Observation) -> Option<Reason> {
        if params.split_local {
            if seen.is_local() {
                return reached(&self.consecutive_local, params.consecutive_local)
                    .then_some(Reason::ConsecutiveLocal);
            }
            clear(&self.consecutive_local);
        }
        let status = seen.status();
        let is_error = if params.error_statuses.is_empty() || seen.is_local() {
            (500..600).contains(&status)
        } else {
            params.error_statuses.contains(&status)
        };
        if !is_error {
            clear(&self.consecutive_5xx);
            clear(&self.consecutive_gateway);
            return None;
        }
        let gateway = if matches!(status, 502..=504) {
            reached(&self.consecutive_gateway, params.consecutive_gateway)
        } else {
            clear(&self.consecutive_gateway);
            false
        };
        // Both count; the gateway counter is looked at first, as in Envoy.
        let server = reached(&self.consecutive_5xx, params.consecutive_5xx);
        match (gateway, server) {
            (true, _) => Some(Reason::ConsecutiveGateway),
            (false, true) => Some(Reason::Consecutive5xx),
            (false, false) => None,
        }
    }

    /// It answered.
    fn proves(&self) {
        // Most calls change nothing: do not take the cache line for writing.
        if !self.proven.load(Ordering::Acquire) {
            self.proven.store(true, Ordering::Release);
        }
        if self.untrusted.load(Ordering::Acquire) {
            self.untrusted.store(false, Ordering::Release);
        }
    }

    fn clear_counters(&self) {
        clear(&self.consecutive_5xx);
        clear(&self.consecutive_gateway);
        clear(&self.consecutive_local);
    }
}

impl Member for Host {
    fn host(&self) -> &Host {
        self
    }
}

impl<M: Member> Member for Arc<M> {
    fn host(&self) -> &Host {
        (**self).host()
    }
}

// === impl Detector ===

impl Detector {
    /// A detector whose sweeps are due at whole intervals from `now` on.
    #[must_use]
    pub fn new(params: &Params, now: Instant) -> Self {
        Self {
            created: now,
            next: AtomicU64::new(nanos(interval(params))),
            changing: Mutex::new(()),
            stats: Stats::default(),
        }
    }

    /// What happened since the start.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Applies the sweeps that are due at `now`. Returns the positions of the members that came back.
    ///
    /// Costs one atomic load when none is due. Call it before picking and before showing the state.
    pub fn tick<M: Member>(&self, params: &Params, members: &[M], now: Instant) -> Vec<usize> {
        let interval = interval(params);
        let since = nanos(now.saturating_duration_since(self.created));
        let due = |next: u64| {
            // An interval that was shortened takes effect at once.
            let next = next.min(since.saturating_add(nanos(interval)));
            (next, since >= next)
        };
        let armed = self.next.load(Ordering::Acquire);
        let (next, is_due) = due(armed);
        if !is_due {
            if next < armed {
                self.next.fetch_min(next, Ordering::AcqRel);
            }
            return Vec::new();
        }
        let _changing = lock(&self.changing);
        let (next, is_due) = due(self.next.load(Ordering::Acquire));
        if !is_due {
            return Vec::new();
        }
        let count = (since - next) / nanos(interval) + 1;
        let after = next.saturating_add(count.saturating_mul(nanos(interval)));
        self.next.store(after, Ordering::Release);
        let sweeps = Sweeps {
            first: self.created + Duration::from_nanos(next),
            interval,
            count,
        };
        let came_back = |host: &Host| {
            let mut ejection = lock(&host.ejection);
            let back = ejection.sweep(params, sweeps);
            if back {
                host.clear_counters();
                host.ejected.store(false, Ordering::Release);
            }
            back
        };
        members
            .iter()
            .enumerate()
            .filter_map(|(i, member)| came_back(member.host()).then_some(i))
            .collect()
    }

    /// Counts what was seen of one of `members` at `now`. Returns the ejection if that made one.
    ///
    /// What is seen of a host that is no longer a member, or is ejected already, ejects nothing.
    pub fn record<M: Member>(
        &self,
        params: &Params,
        members: &[M],
        host: &Host,
        seen: Observation,
        now: Instant,
    ) -> Option<Ejected> {
        match seen {
            Observation::Untrusted if !stands_out(members, host) => return None,
            Observation::Status(_) => host.proves(),
            _ => {}
        }
        let reason = host.count(params, seen)?;
        let _changing = lock(&self.changing);
        let is_member = members.iter().any(|m| std::ptr::eq(m.host(), host));
        if host.is_ejected() || !is_member {
            return None;
        }
        match reason {
            Reason::Consecutive5xx => self.stats.consecutive_5xx.inc(),
            Reason::ConsecutiveGateway => self.stats.consecutive_gateway.inc(),
            Reason::ConsecutiveLocal => self.stats.consecutive_local.inc(),
        }
        let ejected = active(members);
        if !may_eject(params, ejected, members.len()) {
            self.stats.ejections_overflow.inc();
            return None;
        }
        let lasts = lock(&host.ejection).eject(params, now);
        host.ejected.store(true, Ordering::Release);
        self.stats.ejections_total.inc();
        Some(Ejected { reason, lasts })
    }
}

/// How many of `members` are out.
#[must_use]
pub fn active<M: Member>(members: &[M]) -> usize {
    members.iter().filter(|m| m.host().is_ejected()).count()
}

/// Whether others have answered since this member was first found untrusted. Where none does, the fault is none of its own:
/// an authority that is not known here, a certificate that all of them share.
fn stands_out<M: Member>(members: &[M], host: &Host) -> bool {
    let others = || {
        members
            .iter()
            .map(Member::host)
            .filter(|other| !std::ptr::eq(*other, host))
    };
    host.proven.store(false, Ordering::Release);
    if host.untrusted.swap(true, Ordering::AcqRel) {
        return others().any(|other| other.proven.load(Ordering::Acquire));
    }
    for other in others() {
        other.proven.store(false, Ordering::Release);
    }
    false
}

fn reached(counter: &AtomicU32, threshold: u32) -> bool {
    let count = counter.fetch_add(1, Ordering::AcqRel).saturating_add(1);
    let reached = threshold > 0 && count >= threshold;
    if reached {
        clear(counter);
    }
    reached
}

fn clear(counter: &AtomicU32) {
    // Most calls succeed on a healthy host: do not take the cache line for writing.
    if counter.load(Ordering::Acquire) != 0 {
        counter.store(0, Ordering::Release);
    }
}

fn interval(params: &Params) -> Duration {
    params.interval.max(Duration::from_millis(1))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A panic while a lock was held leaves plain data behind, which stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "detector_tests.rs"]
mod tests;
