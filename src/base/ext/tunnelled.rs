//! What a caller sends once its connection has left HTTP.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Bytes that came from a caller whose connection has left HTTP: no body holds them. Whoever passes them on counts them
/// here, and clones share the count. Absent: the connection stays.
#[derive(Clone, Debug, Default)]
pub struct Tunnelled(Arc<AtomicU64>);

impl Tunnelled {
    /// So many more.
    pub fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The counter itself, for whoever counts the bytes of bodies too.
    #[must_use]
    pub fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0)
    }
}
