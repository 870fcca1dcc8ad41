//! What came in: the recorded requests and the counts.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version, request::Parts};
use serde_json::{Value, json};

use crate::base::{Counter, time::Instant};

/// A request as it arrived.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SeenRequest {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Its protocol.
    pub version: Version,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Length of the body in bytes.
    pub body_len: u64,
    /// The first 4 KiB of the body.
    pub body: Bytes,
    /// When the body was complete.
    pub at: Instant,
    /// Which connection of this listener it came on, counted from 1.
    pub connection: u64,
}

/// Counts since the start.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) requests: Counter,
    pub(super) accepted: Counter,
    pub(super) open: Counter,
    /// Requests that met a fault instead of a response head.
    pub(super) unanswered: Counter,
    statuses: Vec<Counter>,
    paths: Mutex<HashMap<String, u64>>,
}

/// The last requests.
#[derive(Debug, Default)]
pub(super) struct Recorder(Mutex<VecDeque<SeenRequest>>);

const MAX_SEEN: usize = 10_000;
const MAX_PATHS: usize = 1_000;
const MAX_BODY_KEPT: usize = 4096;

// === impl SeenRequest ===

impl SeenRequest {
    pub(super) fn new(parts: &Parts, body: &Bytes, body_len: u64, connection: u64) -> Self {
        Self {
            method: parts.method.clone(),
            path: parts
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string),
            version: parts.version,
            headers: parts.headers.clone(),
            body_len,
            // Copied, so that a record does not keep a large body alive.
            body: Bytes::copy_from_slice(body.get(..MAX_BODY_KEPT).unwrap_or(body)),
            at: Instant::now(),
            connection,
        }
    }
}

// === impl Stats ===

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            requests: Counter::default(),
            accepted: Counter::default(),
            open: Counter::default(),
            unanswered: Counter::default(),
            statuses: (0..1000).map(|_| Counter::default()).collect(),
            paths: Mutex::default(),
        }
    }

    pub(super) fn request(&self, path: &str) {
        self.requests.inc();
        let mut paths = lock(&self.paths);
        if let Some(n) = paths.get_mut(path) {
            *n += 1;
        } else {
            let path = if paths.len() < MAX_PATHS { path } else { "*" };
            *paths.entry(path.to_owned()).or_insert(0) += 1;
        }
    }

    pub(super) fn answered(&self, status: StatusCode) {
        if let Some(n) = self.statuses.get(usize::from(status.as_u16())) {
            n.inc();
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let statuses: BTreeMap<String, u64> = self
            .statuses
            .iter()
            .enumerate()
            .filter(|(_, n)| n.get() > 0)
            .map(|(status, n)| (status.to_string(), n.get()))
            .collect();
        json!({
            "requests": self.requests.get(),
            "by_status": statuses,
            "unanswered": self.unanswered.get(),
            "connections": {"accepted": self.accepted.get(), "open": self.open.get()},
            "by_path": *lock(&self.paths),
        })
    }
}

// === impl Recorder ===

impl Recorder {
    pub(super) fn push(&self, seen: SeenRequest) {
        let mut kept = lock(&self.0);
        if kept.len() == MAX_SEEN {
            kept.pop_front();
        }
        kept.push_back(seen);
    }

    pub(super) fn all(&self) -> Vec<SeenRequest> {
        lock(&self.0).iter().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
