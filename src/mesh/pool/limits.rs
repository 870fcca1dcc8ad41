//! What the pools of one cluster share: ceilings, timeouts and counters.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use super::{book::Book, endpoint, http1, stats::PoolStats};
use crate::{base::Ceiling, model};

/// The ceilings of one cluster, shared by the pools of its endpoints. Cloning shares them.
///
/// [`set`](Self::set) swaps the parameters while requests run: connections that are open stay, everything decided
/// later follows the new values.
#[derive(Clone)]
pub struct Limits(Arc<Shared>);

struct Shared {
    params: ArcSwap<model::Pool>,
    stats: PoolStats,
    pending: Ceiling,
    http1: Mutex<Book<http1::Conn>>,
    withheld: AtomicBool,
}

// === impl Limits ===

impl Limits {
    /// Ceilings for one cluster.
    #[must_use]
    pub fn new(params: model::Pool) -> Self {
        Self(Arc::new(Shared {
            pending: Ceiling::new(u64::from(params.max_pending)),
            params: ArcSwap::from_pointee(params),
            stats: PoolStats::default(),
            http1: Mutex::default(),
            withheld: AtomicBool::default(),
        }))
    }

    /// Swaps the parameters. A higher `max_connections` lets waiting requests dial at once.
    pub fn set(&self, params: model::Pool) {
        self.0.pending.set_limit(u64::from(params.max_pending));
        self.0.params.store(Arc::new(params));
        endpoint::pump(self);
    }

    /// The parameters in force.
    #[must_use]
    pub fn params(&self) -> Arc<model::Pool> {
        self.0.params.load_full()
    }

    /// What the cluster's pools have counted.
    #[must_use]
    pub fn stats(&self) -> &PoolStats {
        &self.0.stats
    }

    /// The parameters in force, for a look. Do not keep it.
    pub(super) fn look(&self) -> arc_swap::Guard<Arc<model::Pool>> {
        self.0.params.load()
    }

    /// Whether a request is the first that was not sent for its key's sake.
    pub(super) fn is_first_withheld(&self) -> bool {
        !self.0.withheld.swap(true, Ordering::Relaxed)
    }

    pub(super) fn pending(&self) -> &Ceiling {
        &self.0.pending
    }

    /// The HTTP/1 connections and waiting requests of the whole cluster. Hold it shortly.
    pub(super) fn book(&self) -> MutexGuard<'_, Book<http1::Conn>> {
        self.0.http1.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("params", &self.params())
            .field("stats", self.stats())
            .finish()
    }
}
