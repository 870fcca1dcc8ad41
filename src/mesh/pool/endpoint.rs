//! One endpoint's side of the pool: dialling, and the queues of both protocols.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::runtime::Handle;

use super::{Limits, error::DialFailure, http1, http2};
use crate::{
    base::{Kind, error::ConnectFailure, time::Instant},
    mesh::connect::{BoxIo, Connect, Dial},
};

pub(super) struct Endpoint {
    address: SocketAddr,
    limits: Limits,
    connect: Arc<dyn Connect>,
    /// Its lane in the cluster's book of HTTP/1 connections.
    lane: u64,
    http2: Mutex<http2::Lane>,
    next_id: AtomicU64,
    draining: AtomicBool,
    /// Where dials run: set by the first request, because a pool may be made outside of a runtime and dropped after it.
    runtime: OnceLock<Handle>,
}

// === impl Endpoint ===

impl Endpoint {
    pub(super) fn new(address: SocketAddr, limits: Limits, connect: Arc<dyn Connect>) -> Arc<Self> {
        Arc::new_cyclic(|me: &Weak<Self>| {
            let lane = limits.book().add(me.clone());
            Self {
                address,
                limits,
                connect,
                lane,
                http2: Mutex::default(),
                next_id: AtomicU64::new(0),
                draining: AtomicBool::new(false),
                runtime: OnceLock::new(),
            }
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether what is sent there cannot be read on the way.
    #[expect(clippy::unused_self, reason = "no connection is, as yet")]
    pub(super) fn is_encrypted(&self) -> bool {
        false
    }

    pub(super) fn lane(&self) -> u64 {
        self.lane
    }

    pub(super) fn http2(&self) -> MutexGuard<'_, http2::Lane> {
        self.http2.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Remembers the runtime of the caller, which must be inside one.
    pub(super) fn enter(&self) {
        self.runtime.get_or_init(Handle::current);
    }

    /// Runs a connection.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = self.runtime.get() {
            runtime.spawn(task);
        }
    }

    /// Closes idle connections; those in use close when they come free.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.close_idle();
        http2::drain(self);
    }

    /// Closes idle HTTP/1 connections.
    pub(super) fn close_idle(&self) {
        let idle = self.limits.book().take_all_idle(self.lane);
        drop(idle);
    }

    /// A place in the book is free.
    pub(super) fn closed(&self) {
        self.limits.book().closed(self.lane);
        pump(&self.limits);
    }

    /// Makes a connection and counts how it went.
    pub(super) async fn dial(&self) -> Result<BoxIo, DialFailure> {
        let params = self.limits.params();
        let dial = Dial {
            timeout: params.connect_timeout,
            keepalive: params.keepalive,
        };
        let error = match self.connect.connect(self.address, dial).await {
            Ok(io) => return Ok(io),
            Err(error) => error,
        };
        self.count_failed(error.kind() == Kind::Connect(ConnectFailure::Timeout));
        tracing::debug!(address = %self.address, error = %error, "dial failed");
        Err(DialFailure::new(&error))
    }

    /// A connection could not be made.
    pub(super) fn count_failed(&self, timeout: bool) {
        let stats = self.limits.stats();
        stats.cx_connect_fail.inc();
        if timeout {
            stats.cx_connect_timeout.inc();
        }
    }

    /// When a connection must next be looked at: at the end of its idle time if it is idle since `since`, or at the
    /// end of its life.
    pub(super) fn next_check(&self, since: Instant, born: Instant, now: Instant) -> Instant {
        let params = self.limits.params();
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
        self.limits
            .look()
            .max_connection_duration
            .is_some_and(|d| now.saturating_duration_since(born) >= d)
    }

    /// Whether a connection has served its number of requests.
    pub(super) fn is_spent(&self, served: u32) -> bool {
        let max = self.limits.look().max_requests_per_connection;
        max > 0 && served >= max
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.limits.book().remove(self.lane);
    }
}

// === free functions ===

/// Starts the HTTP/1 dials that are wanted and allowed, for all endpoints of the cluster.
pub(super) fn pump(limits: &Limits) {
    let max = u64::from(limits.look().max_connections);
    let orders = limits.book().dials(max);
    for endpoint in orders.iter().filter_map(Weak::upgrade) {
        endpoint.spawn(http1::dial(&endpoint));
    }
}
