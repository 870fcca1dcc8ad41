//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::{Deadline, Params, Stats};

/// Applies [`Deadline`].
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct DeadlineLayer {
    params: Params,
    stats: Arc<Stats>,
}

// === impl DeadlineLayer ===

impl DeadlineLayer {
    /// A deadline over requests and their response bodies.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            stats: Arc::default(),
        }
    }

    /// Counts here.
    pub fn with_stats(mut self, stats: Arc<Stats>) -> Self {
        self.stats = stats;
        self
    }
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Deadline<S> {
        Deadline::new(inner, self.params.clone(), Arc::clone(&self.stats))
    }
}
