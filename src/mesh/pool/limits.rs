//! What the pools of one cluster share: ceilings, timeouts and counters.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

use super::{book::Book, conn::Conn, stats::PoolStats};
use crate::{
    base::{Ceiling, time::Instant},
    model,
};

/// The ceilings of one cluster, shared by the pools of its endpoints. Cloning shares them.
///
/// [`set`](Self::set) swaps the parameters while requests run: connections that are open stay, everything decided
/// later follows the new values.
#[derive(Clone)]
pub struct Limits(Arc<Shared>);

/// The HTTP/1 connections of a cluster, and whom to ask for more.
type Http1 = Book<Conn, Weak<dyn Dials>>;

/// Makes the connections of one endpoint. Neither waits for it.
pub(super) trait Dials: Send + Sync {
    /// One of HTTP/1, for which the book has allotted a place.
    fn dial_http1(self: Arc<Self>);
    /// One of HTTP/2.
    fn dial_http2(self: Arc<Self>);
}

struct Shared {
    params: ArcSwap<model::Pool>,
    stats: PoolStats,
    pending: Ceiling,
    http1: Mutex<Http1>,
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
        self.pump();
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

    /// Starts the HTTP/1 dials that are wanted and allowed, for all endpoints of the cluster.
    pub(super) fn pump(&self) {
        let max = u64::from(self.look().max_connections);
        let orders = self.book().dials(max);
        for endpoint in orders.iter().filter_map(Weak::upgrade) {
            endpoint.dial_http1();
        }
    }

    /// A connection could not be made.
    pub(super) fn count_failed(&self, timeout: bool) {
        let stats = self.stats();
        stats.cx_connect_fail.inc();
        if timeout {
            stats.cx_connect_timeout.inc();
        }
    }

    /// When a connection must next be looked at: at the end of its idle time if it is idle since `since`, or at the
    /// end of its life.
    pub(super) fn next_check(&self, since: Instant, born: Instant, now: Instant) -> Instant {
        let params = self.params();
        let far = now + Duration::from_secs(86_400);
        let idle = params.idle_timeout.and_then(|d| since.checked_add(d));
        let life = params
            .max_connection_duration
            .and_then(|d| born.checked_add(d))
            .filter(|end| *end > now);
        far.min(idle.unwrap_or(far)).min(life.unwrap_or(far))
    }

    /// Whether a connection of this age has had its time.
    pub(super) fn is_too_old(&self, born: Instant, now: Instant) -> bool {
        self.look()
            .max_connection_duration
            .is_some_and(|d| now.saturating_duration_since(born) >= d)
    }

    /// Whether a connection has served its number of requests.
    pub(super) fn is_spent(&self, served: u32) -> bool {
        let max = self.look().max_requests_per_connection;
        max > 0 && served >= max
    }

    pub(super) fn pending(&self) -> &Ceiling {
        &self.0.pending
    }

    /// The HTTP/1 connections and waiting requests of the whole cluster. Hold it shortly.
    pub(super) fn book(&self) -> MutexGuard<'_, Http1> {
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
