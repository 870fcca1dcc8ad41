//! Counts that outlive the layers that read them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use super::params::{Allowance, Limit};
use crate::{
    base::{
        Counter, Fingerprint,
        quota::{Quota, Unit},
        sync,
        time::Instant,
    },
    layers::limit::{
        keyed::Keyed,
        window::{Cell, Rate, Reservation, Short},
    },
};

/// How many keys a limit tells apart by default.
const MAX_KEYS: usize = 65_536;

/// The counts of all limits, by name. Keep one as long as limits are to be remembered; cloning shares it.
///
/// A limit's counts live as long as a layer or a request holds it: put the next configuration's layers together before the
/// last one's are dropped. Each limit tells 65,536 keys apart; what comes on top shares one allowance until others have been
/// idle for a period. For each of requests and tokens, a key takes about 300 bytes, and up to 1.5 KiB in constant use: random
/// keys fill 20 MiB a limit and unit, and no more.
#[derive(Clone)]
pub struct Registry {
    limits: Arc<Mutex<BTreeMap<Arc<str>, Weak<State>>>>,
    max_keys: usize,
}

/// Counters of one limit, over all its keys.
#[derive(Debug, Default)]
pub struct Stats {
    /// Requests let through.
    pub allowed: Counter,
    /// Requests refused.
    pub refused: Counter,
    /// Requests refused for ever: larger than the whole allowance. Also among the refused.
    pub too_large: Counter,
    /// Tokens settled.
    pub tokens: Counter,
    /// Requests settled with an estimate in place of a provider's count.
    pub estimated: Counter,
}

/// One limit's counts.
pub(super) struct State {
    requests: Table,
    tokens: Table,
    pub(super) stats: Arc<Stats>,
}

struct Table {
    cells: Keyed<Cell>,
    /// For keys that the table has no room for.
    rest: sync::Arc<Cell>,
}

// === impl Registry ===

impl Default for Registry {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            max_keys: MAX_KEYS,
        }
    }
}

impl Registry {
    /// Sets how many keys a limit that is not known yet tells apart.
    #[must_use]
    pub fn with_max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// The counters of all limits in use, by name.
    #[must_use]
    pub fn stats(&self) -> Vec<(Arc<str>, Arc<Stats>)> {
        let limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        limits
            .iter()
            .filter_map(|(name, state)| {
                Some((Arc::clone(name), Arc::clone(&state.upgrade()?.stats)))
            })
            .collect()
    }

    /// The counts of a limit, fresh if it is new.
    pub(super) fn state(&self, name: &Arc<str>) -> Arc<State> {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = limits.get(name).and_then(Weak::upgrade) {
            return state;
        }
        limits.retain(|_, state| state.strong_count() > 0);
        let state = Arc::new(State {
            requests: Table::new(self.max_keys),
            tokens: Table::new(self.max_keys),
            stats: Arc::default(),
        });
        limits.insert(Arc::clone(name), Arc::downgrade(&state));
        state
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.stats()).finish()
    }
}

// === impl State ===

impl State {
    /// Reserves in one key's allowance.
    pub(super) fn reserve(
        &self,
        unit: Unit,
        allowance: Allowance,
        key: Fingerprint,
        amount: u64,
        now: Instant,
    ) -> Result<Reservation, (Short, sync::Arc<Cell>)> {
        let table = match unit {
            Unit::Requests => &self.requests,
            Unit::Tokens => &self.tokens,
        };
        let per = allowance.per;
        let cell = table
            .cells
            .get(key, now, |cell| cell.is_empty(per, now))
            .unwrap_or_else(|| sync::Arc::clone(&table.rest));
        Cell::reserve(&cell, rate(allowance), amount, now).map_err(|short| (short, cell))
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

// === impl Table ===

impl Table {
    fn new(max_keys: usize) -> Self {
        Self {
            cells: Keyed::new(max_keys),
            rest: sync::Arc::default(),
        }
    }
}

/// An allowance as it stands in a cell.
pub(super) fn quota(
    limit: &Limit,
    unit: Unit,
    allowance: Allowance,
    cell: &Cell,
    now: Instant,
) -> Quota {
    let (remaining, reset) = cell.state(rate(allowance), now);
    Quota {
        name: Arc::clone(&limit.name),
        unit,
        limit: allowance.amount.get(),
        per: allowance.per,
        remaining,
        reset,
    }
}

fn rate(allowance: Allowance) -> Rate {
    Rate {
        amount: allowance.amount.get(),
        per: allowance.per,
    }
}
