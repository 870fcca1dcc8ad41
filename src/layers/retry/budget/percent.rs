//! The percent budget: within any `ttl`, retries are at most a share of requests plus a floor.
//!
//! As Finagle's `RetryBudget`: each request deposits its share of a retry, each retry withdraws a whole one, both
//! are forgotten after `ttl`, and a constant reserve (floor per second × `ttl`) stands below. Finagle and tower count
//! in whole tokens and so round the share (0.6 becomes 1); here one retry is ten million units, exact for shares of up to
//! seven decimals.
//!
//! Time is cut into [`SLOTS`] slots a `ttl`, so a deposit lives between `ttl · (SLOTS−1)/SLOTS` and `ttl`.
//!
//! Lock-free. `balance` is what is live over all slots, and a withdrawal is decided by one compare-and-swap on it,
//! so it is never overdrawn. Slots only remember what to undo later; each carries the tick it belongs to in the same
//! word as its sum, so an expiry and a late writer cannot lose each other's update. A thread stopped in the middle of
//! an expiry lets the others see the old balance until it runs on.

use std::{sync::OnceLock, time::Duration};

use crate::base::{
    Share,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Instant,
};

/// One retry.
pub(super) const UNIT: i64 = 10_000_000;
/// Two are enough for every race, and few enough for a model checker.
const SLOTS: u32 = if cfg!(llmesh_loom) { 2 } else { 32 };
/// A slot's word: 20 bits of tick above 44 bits of signed sum.
const NET_BITS: u32 = 44;
const TAG_MASK: u64 = (1 << (64 - NET_BITS)) - 1;
const NET_MAX: i64 = (1 << (NET_BITS - 1)) - 1;

/// The state of a percent budget. Share and floor are given with each call, so that they can change.
#[derive(Debug)]
pub(super) struct Percent {
    origin: OnceLock<Instant>,
    slot_nanos: u64,
    /// The last tick up to which all has been expired.
    swept: AtomicU64,
    balance: AtomicI64,
    slots: [AtomicU64; SLOTS as usize],
}

// === impl Percent ===

impl Percent {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            origin: OnceLock::new(),
            slot_nanos: nanos(ttl / SLOTS).max(1),
            swept: AtomicU64::new(0),
            balance: AtomicI64::new(0),
            slots: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// A request came in, for which so many are put in.
    pub(super) fn deposit(&self, units: i64, now: Instant) {
        let tick = self.advance(now);
        let units = self.add(units, tick);
        self.balance.fetch_add(units, Ordering::AcqRel);
    }

    /// Takes these units, if there are as many.
    pub(super) fn withdraw(&self, units: i64, reserve: i64, now: Instant) -> bool {
        let tick = self.advance(now);
        let taken = self
            .balance
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |balance| {
                (balance.saturating_add(reserve) >= units).then_some(balance - units)
            })
            .is_ok();
        if taken {
            self.add(-units, tick);
        }
        taken
    }

    /// Takes these units, also if that leaves less than nothing: they were allowed elsewhere.
    pub(super) fn charge(&self, units: i64, now: Instant) {
        let tick = self.advance(now);
        self.balance.fetch_sub(units, Ordering::AcqRel);
        self.add(-units, tick);
    }

    /// Whole retries that could be taken now.
    pub(super) fn available(&self, reserve: i64, now: Instant) -> u64 {
        self.advance(now);
        let left = self.balance.load(Ordering::Acquire).saturating_add(reserve) / UNIT;
        u64::try_from(left).unwrap_or(0)
    }

    /// Expires what is older than the budget's life and gives the present tick.
    fn advance(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(*self.origin.get_or_init(|| now));
        let since = nanos(since);
        let swept = self.swept.load(Ordering::Acquire);
        if since < swept.saturating_add(1).saturating_mul(self.slot_nanos) {
            return swept;
        }
        let tick = since / self.slot_nanos;
        for slot in &self.slots {
            self.expire(slot, tick);
        }
        self.swept.fetch_max(tick, Ordering::AcqRel).max(tick)
    }

    fn expire(&self, slot: &AtomicU64, tick: u64) {
        let old = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let (tag, net) = unpack(word);
            let age = tick.wrapping_sub(tag) & TAG_MASK;
            // More than half the tags away is a tick ahead of ours, not behind.
            let gone = age >= u64::from(SLOTS) && age <= TAG_MASK / 2;
            (gone && net != 0).then_some(pack(tag, 0))
        });
        if let Ok(word) = old {
            self.balance.fetch_sub(unpack(word).1, Ordering::AcqRel);
        }
    }

    /// Notes `delta` in the slot of `tick`, so that it is undone when that slot expires. Returns how much of it the
    /// slot could hold.
    fn add(&self, delta: i64, tick: u64) -> i64 {
        let index = usize::try_from(tick % u64::from(SLOTS)).unwrap_or(0);
        let Some(slot) = self.slots.get(index) else {
            return 0;
        };
        let mine = tick & TAG_MASK;
        let mut seen = slot.load(Ordering::Acquire);
        loop {
            let (tag, net) = unpack(seen);
            // A slot that others have already taken for a later tick is used as it is.
            let later = tag.wrapping_sub(mine) & TAG_MASK <= TAG_MASK / 2;
            let (tag, kept, expired) = if later { (tag, net, 0) } else { (mine, 0, net) };
            let sum = (kept + delta).clamp(-NET_MAX, NET_MAX);
            let word = pack(tag, sum);
            match slot.compare_exchange_weak(seen, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if expired != 0 {
                        self.balance.fetch_sub(expired, Ordering::AcqRel);
                    }
                    return sum - kept;
                }
                Err(word) => seen = word,
            }
        }
    }
}

/// The floor in units: so many retries a second over `ttl`.
pub(super) fn reserve(min_per_second: u32, ttl: Duration) -> i64 {
    let units = u128::from(min_per_second) * ttl.as_nanos().min(1 << 80) / 1_000_000_000;
    i64::try_from(units)
        .unwrap_or(i64::MAX)
        .saturating_mul(UNIT)
        .min(i64::MAX / 2)
}

/// As long as a clock of ours can run: 584 years at most.
fn nanos(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(time.subsec_nanos().into())
}

/// What a request deposits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "between 0 and 1000 retries"
)]
pub(super) fn units(share: Share) -> i64 {
    (share.get() * UNIT as f64).round() as i64
}

fn pack(tag: u64, net: i64) -> u64 {
    (tag << NET_BITS) | (net.cast_unsigned() & ((1 << NET_BITS) - 1))
}

fn unpack(word: u64) -> (u64, i64) {
    let net = (word << (64 - NET_BITS)).cast_signed() >> (64 - NET_BITS);
    (word >> NET_BITS, net)
}
