//! The pick: pure, over a snapshot.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use http::HeaderValue;

use super::{
    context::PickContext,
    key::key,
    params::{EwmaParams, HashKey, Policy},
    snapshot::Snapshot,
};
use crate::base::{SharedRng, ext::Tried, time::Instant};

/// Whose turn it is in a round robin: starts at random, so that many clients do not start in step.
#[derive(Debug, Default)]
pub struct Turns {
    start: OnceLock<u64>,
    taken: AtomicU64,
}

/// A pick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The position in [`Snapshot::all`].
    pub member: usize,
    /// The cookie that the response has to carry.
    pub set_cookie: Option<HeaderValue>,
}

// === impl Turns ===

impl Turns {
    fn next(&self, rng: &SharedRng) -> u64 {
        let start = *self.start.get_or_init(|| rng.next());
        start.wrapping_add(self.taken.fetch_add(1, Ordering::Relaxed))
    }
}

/// Picks a usable endpoint; `None` if there is none.
///
/// An endpoint that the request has been to is drawn again up to `repicks` times, then taken all the same. A
/// consistent hash picks by its key alone.
#[must_use]
pub fn pick(
    snapshot: &Snapshot,
    context: &PickContext<'_>,
    turns: &Turns,
    rng: &SharedRng,
    now: Instant,
) -> Option<Pick> {
    if let Policy::ConsistentHash { key, .. } = &snapshot.params.policy
        && let Some(pick) = by_key(snapshot, key, context, rng)
    {
        return Some(pick);
    }
    let mut picked = draw(snapshot, context, turns, rng, now)?;
    if let Some(tried) = context.tried {
        for _ in 0..snapshot.params.repicks {
            if !is_tried(snapshot, tried, picked) {
                break;
            }
            picked = draw(snapshot, context, turns, rng, now)?;
        }
    }
    Some(Pick {
        member: picked,
        set_cookie: None,
    })
}

fn by_key(
    snapshot: &Snapshot,
    of: &HashKey,
    context: &PickContext<'_>,
    rng: &SharedRng,
) -> Option<Pick> {
    let key = key(of, context, rng)?;
    // `usable` is sorted.
    let usable = |member: usize| {
        snapshot.usable.len() == snapshot.all.len()
            || snapshot.usable.binary_search(&member).is_ok()
    };
    let member = snapshot.table.as_ref()?.table.find(key.hash, usable)?;
    Some(Pick {
        member,
        set_cookie: key.set_cookie,
    })
}

fn draw(
    snapshot: &Snapshot,
    context: &PickContext<'_>,
    turns: &Turns,
    rng: &SharedRng,
    now: Instant,
) -> Option<usize> {
    match &snapshot.params.policy {
        Policy::RoundRobin => {
            let turn = turns
                .next(rng)
                .checked_rem(snapshot.schedule.len() as u64)?;
            snapshot.schedule.get(usize::try_from(turn).ok()?).copied()
        }
        Policy::LeastRequest if snapshot.equal_weights => {
            better_of_two(snapshot, context, rng, |member| {
                snapshot.all[member].in_flight()
            })
        }
        Policy::LeastRequest => weighted(snapshot, rng),
        Policy::PeakEwma(params) => better_of_two(snapshot, context, rng, |member| {
            cost(snapshot, params, member, now)
        }),
        // A consistent hash comes here for requests without a key.
        Policy::Random | Policy::ConsistentHash { .. } => any(snapshot, rng),
    }
}

fn any(snapshot: &Snapshot, rng: &SharedRng) -> Option<usize> {
    snapshot
        .usable
        .get(rng.index(snapshot.usable.len())?)
        .copied()
}

/// Two different ones at random; the first unless the second is better. Where the request has been to one of them only,
/// the other.
fn better_of_two<C: PartialOrd>(
    snapshot: &Snapshot,
    context: &PickContext<'_>,
    rng: &SharedRng,
    cost: impl Fn(usize) -> C,
) -> Option<usize> {
    let usable = &snapshot.usable;
    let first = rng.index(usable.len())?;
    let Some(step) = rng.index(usable.len() - 1) else {
        return usable.first().copied();
    };
    let second = (first + 1 + step) % usable.len();
    let (first, second) = (usable[first], usable[second]);
    if let Some(tried) = context.tried.filter(|_| snapshot.params.repicks > 0) {
        match (
            is_tried(snapshot, tried, first),
            is_tried(snapshot, tried, second),
        ) {
            (true, false) => return Some(second),
            (false, true) => return Some(first),
            _ => {}
        }
    }
    Some(if cost(second) < cost(first) {
        second
    } else {
        first
    })
}

/// At random in proportion to weight/(in flight + 1).
#[expect(clippy::cast_precision_loss, reason = "a count of requests in flight")]
fn weighted(snapshot: &Snapshot, rng: &SharedRng) -> Option<usize> {
    let share = |&member: &usize| {
        let endpoint = &snapshot.all[member];
        f64::from(endpoint.weight()) / (endpoint.in_flight() as f64 + 1.0)
    };
    let total: f64 = snapshot.usable.iter().map(share).sum();
    let mut left = rng.unit() * total;
    let drawn = snapshot.usable.iter().find(|member| {
        left -= share(member);
        left < 0.0
    });
    // Loads that changed meanwhile may leave a rest: the last one's.
    drawn.or_else(|| snapshot.usable.last()).copied()
}

#[expect(clippy::cast_precision_loss, reason = "a count of requests in flight")]
fn cost(snapshot: &Snapshot, params: &EwmaParams, member: usize, now: Instant) -> f64 {
    let endpoint = &snapshot.all[member];
    let estimate = endpoint.load().estimate(params, now);
    estimate * (endpoint.in_flight() as f64 + 1.0) / f64::from(endpoint.weight())
}

fn is_tried(snapshot: &Snapshot, tried: &Tried, member: usize) -> bool {
    tried.contains(snapshot.all[member].address())
}

#[cfg(test)]
#[path = "pick_tests.rs"]
mod tests;
