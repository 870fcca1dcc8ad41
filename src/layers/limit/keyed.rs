//! A table of state by key, when callers choose the keys.
//!
//! It is bounded: where every key costs memory, who sends random ones could fill it. States that are idle (as their type
//! says) and not held by anybody are swept as the table grows; once it is full of busy ones, [`get`](Keyed::get) gives
//! nothing for a key it does not know, and its user has an answer to that. A sweep runs when a shard has doubled since the
//! last one, and in a full shard at most once a second, so keys come at constant cost.
//!
//! Sharded: a lock is held for one lookup, or a sweep of one sixteenth.

use std::{collections::HashMap, fmt, sync::PoisonError, time::Duration};

use crate::base::{
    Fingerprint,
    sync::{Arc, Mutex},
    time::Instant,
};

const SHARDS: usize = if cfg!(llmesh_loom) { 1 } else { 16 };
/// Below this a shard is not swept: it is not worth it.
const SMALL: usize = 64;
const PAUSE: Duration = Duration::from_secs(1);

/// A bounded table of shared states.
pub struct Keyed<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    /// In one shard.
    max: usize,
}

struct Shard<V> {
    states: HashMap<Fingerprint, Arc<V>>,
    /// Sweep once it has so many.
    sweep_at: usize,
    /// Not before.
    not_before: Option<Instant>,
}

// === impl Keyed ===

impl<V: Default> Keyed<V> {
    /// A table of about `max` keys.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::new())),
            max: max.div_ceil(SHARDS).max(1),
        }
    }

    /// The state of a key, fresh if it is new; `None` if the table is full. `idle` says whether a state may be forgotten.
    pub fn get(&self, key: Fingerprint, now: Instant, idle: impl Fn(&V) -> bool) -> Option<Arc<V>> {
        let mut shard = self
            .shard(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = shard.states.get(&key) {
            return Some(Arc::clone(state));
        }
        if !shard.has_room(self.max, now, idle) {
            return None;
        }
        let state = Arc::new(V::default());
        shard.states.insert(key, Arc::clone(&state));
        Some(state)
    }

    /// The state of a key, if it has one.
    pub fn peek(&self, key: Fingerprint) -> Option<Arc<V>> {
        let shard = self
            .shard(key)
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.states.get(&key).map(Arc::clone)
    }

    /// How many keys have a state.
    pub fn len(&self) -> usize {
        let len = |shard: &Mutex<Shard<V>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.states.len()
        };
        self.shards.iter().map(len).sum()
    }

    /// Whether none has.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        reason = "below the number of shards"
    )]
    fn shard(&self, key: Fingerprint) -> &Mutex<Shard<V>> {
        &self.shards[(key.get() % SHARDS as u64) as usize]
    }
}

impl<V> fmt::Debug for Keyed<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("max", &(self.max * SHARDS))
            .finish_non_exhaustive()
    }
}

// === impl Shard ===

impl<V> Shard<V> {
    fn new() -> Self {
        Self {
            states: HashMap::new(),
            sweep_at: SMALL,
            not_before: None,
        }
    }

    /// Makes room for one more, if there can be.
    fn has_room(&mut self, max: usize, now: Instant, idle: impl Fn(&V) -> bool) -> bool {
        let len = self.states.len();
        let full = len >= max;
        if (full || len >= self.sweep_at) && self.not_before.is_none_or(|at| now >= at) {
            // Others are given a state only under this shard's lock, so what nobody holds now stays so.
            self.states
                .retain(|_, state| Arc::strong_count(state) > 1 || !idle(state));
            self.sweep_at = (2 * self.states.len()).max(SMALL);
            self.not_before = (2 * self.states.len() > max).then(|| now + PAUSE);
            if self.states.is_empty() {
                self.states.shrink_to(SMALL);
            }
        }
        self.states.len() < max
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Idle unless it is busy.
    #[derive(Default)]
    struct State {
        busy: AtomicBool,
    }

    fn key(n: usize) -> Fingerprint {
        Fingerprint::of(&n.to_le_bytes())
    }

    fn idle(state: &State) -> bool {
        !state.busy.load(Ordering::Relaxed)
    }

    #[test]
    fn random_keys_do_not_grow_it() {
        let (table, now) = (Keyed::<State>::new(1 << 20), Instant::now());
        for n in 0..100_000 {
            assert!(table.get(key(n), now, idle).is_some());
        }
        assert!(table.len() <= SHARDS * SMALL, "{}", table.len());
    }

    #[test]
    fn busy_keys_fill_it_and_make_room_once_idle() {
        let (table, now) = (Keyed::<State>::new(SHARDS * 100), Instant::now());
        let mut states = Vec::new();
        for n in 0..100_000 {
            states.extend(table.get(key(n), now, |_| false));
        }
        assert_eq!(table.len(), SHARDS * 100);
        assert_eq!(states.len(), SHARDS * 100);
        let known = key(0);
        assert!(
            table.get(known, now, |_| false).is_some(),
            "a known key stays"
        );
        let later = now + PAUSE;
        assert!(
            table.get(key(200_000), later, idle).is_none(),
            "all are held"
        );
        drop(states);
        let later = later + PAUSE;
        assert!(table.get(key(200_000), later, idle).is_some());
        assert!(table.len() < SHARDS * 100);
    }

    #[test]
    fn a_key_keeps_its_state_while_it_is_busy() {
        let (table, now) = (Keyed::<State>::new(1 << 20), Instant::now());
        let mine = table.get(key(0), now, idle).unwrap();
        mine.busy.store(true, Ordering::Relaxed);
        drop(mine);
        for n in 1..10_000 {
            let _ = table.get(key(n), now, idle);
        }
        let again = table.peek(key(0)).unwrap();
        assert!(again.busy.load(Ordering::Relaxed));
        assert!(table.peek(key(20_000)).is_none());
    }
}
