//! Facts about the running process that pages show.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusHandle;

use super::news::News;
use crate::{
    base::{Counter, time::Instant},
    stack::Counters,
};

/// What the admin port tells about the process.
#[derive(Debug)]
pub struct ServerState {
    started: Instant,
    listeners: Mutex<Vec<(String, SocketAddr)>>,
    prometheus: Option<PrometheusHandle>,
    /// Requests of the outbound listener, by the status given to callers.
    pub downstream: Counters,
    /// Requests in flight on the outbound listener.
    pub active: Counter,
    /// Outbound connections accepted.
    pub connections: Counter,
    /// What was told in the log of late.
    pub(super) news: News,
    /// What was asked for and is not there, in words.
    lacks: Mutex<Vec<String>>,
}

// === impl ServerState ===

impl ServerState {
    /// State of a process that starts now.
    #[must_use]
    pub fn new(prometheus: Option<PrometheusHandle>) -> Self {
        Self {
            started: Instant::now(),
            listeners: Mutex::default(),
            prometheus,
            downstream: Counters::default(),
            active: Counter::default(),
            connections: Counter::default(),
            news: News::default(),
            lacks: Mutex::default(),
        }
    }

    /// Notes what is lacking, for who asks whether the process is ready.
    pub fn lacks(&self, what: String) {
        lock(&self.lacks).push(what);
    }

    /// What is lacking.
    #[must_use]
    pub fn lacking(&self) -> Vec<String> {
        lock(&self.lacks).clone()
    }

    /// Notes a listener's bound address.
    pub fn add_listener(&self, name: &str, address: SocketAddr) {
        lock(&self.listeners).push((name.to_owned(), address));
    }

    /// Names and addresses of the listeners.
    #[must_use]
    pub fn listeners(&self) -> Vec<(String, String)> {
        lock(&self.listeners)
            .iter()
            .map(|(name, address)| (name.clone(), address.to_string()))
            .collect()
    }

    /// Since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The Prometheus page of the standard metrics; empty without a recorder.
    #[must_use]
    pub fn standard_metrics(&self) -> String {
        self.prometheus
            .as_ref()
            .map(PrometheusHandle::render)
            .unwrap_or_default()
    }
}

/// A panic while the lock was held leaves plain data behind, which stays usable.
fn lock<T>(data: &Mutex<T>) -> MutexGuard<'_, T> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}
