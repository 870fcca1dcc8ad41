//! The [`Layer`].

use tower::Layer;

use super::{service::Balance, set::EndpointSet};
use crate::base::SharedRng;

/// Puts a balancer over a [`Dial`](super::Dial).
#[derive(Clone, Debug)]
pub struct BalanceLayer {
    set: EndpointSet,
    rng: SharedRng,
}

// === impl BalanceLayer ===

impl BalanceLayer {
    /// Picks from `set`.
    #[must_use]
    pub fn new(set: EndpointSet) -> Self {
        Self {
            set,
            rng: SharedRng::from_entropy(),
        }
    }

    /// Draws from this generator.
    #[must_use]
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.rng = rng;
        self
    }
}

impl<D> Layer<D> for BalanceLayer {
    type Service = Balance<D>;

    fn layer(&self, dial: D) -> Balance<D> {
        Balance::new(self.set.clone(), dial).with_rng(self.rng.clone())
    }
}
