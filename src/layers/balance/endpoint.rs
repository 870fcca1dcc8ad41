//! One endpoint and all that is known of it.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU32, Ordering},
};

use super::load::Load;
use crate::{
    base::{Counter, time::Instant},
    layers::outlier::{Host, Member},
};

/// An endpoint of one set. Its state lives as long as its address stays in the set.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    weight: AtomicU32,
    added: Instant,
    host: Host,
    load: Load,
    stats: EndpointStats,
}

/// Counters of one endpoint, named as on Envoy's `/clusters` page.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Attempts sent to it.
    pub rq_total: Counter,
    /// Answers below 500.
    pub rq_success: Counter,
    /// Answers of 500 and above, and attempts without an answer.
    pub rq_error: Counter,
    /// Attempts that took too long.
    pub rq_timeout: Counter,
    /// Attempts in flight, until the end of the response body.
    pub rq_active: Counter,
    /// Open connections; written by whoever holds them.
    pub cx_active: Counter,
    /// Connections made; written by whoever makes them.
    pub cx_total: Counter,
    /// Connections that could not be made; written by whoever makes them.
    pub cx_connect_fail: Counter,
}

// === impl Endpoint ===

impl Endpoint {
    /// A new endpoint. A weight of 0 counts as 1.
    #[must_use]
    pub fn new(address: SocketAddr, weight: u32) -> Self {
        Self {
            address,
            weight: AtomicU32::new(weight.max(1)),
            added: Instant::now(),
            host: Host::default(),
            load: Load::default(),
            stats: EndpointStats::default(),
        }
    }

    /// Its address: its identity within the set.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its share relative to others; at least 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// When it was added.
    #[must_use]
    pub const fn added(&self) -> Instant {
        self.added
    }

    /// Its counters.
    #[must_use]
    pub const fn stats(&self) -> &EndpointStats {
        &self.stats
    }

    /// Attempts in flight.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.stats.rq_active.get()
    }

    /// Its latency estimate.
    #[must_use]
    pub const fn load(&self) -> &Load {
        &self.load
    }

    /// Whether it is ejected.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.host.is_ejected()
    }

    pub(super) fn set_weight(&self, weight: u32) {
        self.weight.store(weight.max(1), Ordering::Relaxed);
    }
}

impl Member for Endpoint {
    fn host(&self) -> &Host {
        &self.host
    }
}
