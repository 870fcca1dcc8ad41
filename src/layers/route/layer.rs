//! The layer that makes [`Route`] services.

use std::sync::Arc;

use tower::Layer;

use super::{service::Route, table::Table};
use crate::base::SharedRng;

/// Routes requests by a [`Table`].
#[derive(Clone, Debug)]
pub struct RouteLayer {
    table: Arc<Table>,
    rng: SharedRng,
}

// === impl RouteLayer ===

impl RouteLayer {
    /// A layer over this table; destinations are drawn by a generator seeded from the system.
    #[must_use]
    pub fn new(table: Arc<Table>) -> Self {
        Self {
            table,
            rng: SharedRng::from_entropy(),
        }
    }

    /// Sets the generator that destinations are drawn by.
    #[must_use]
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.rng = rng;
        self
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Route<S>;

    fn layer(&self, inner: S) -> Route<S> {
        Route::new(inner, Arc::clone(&self.table), self.rng.clone())
    }
}
