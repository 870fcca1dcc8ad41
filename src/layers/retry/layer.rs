//! The layer: what its services share.

use std::sync::Arc;

use tower::Layer;

use super::{Params, Policy, Retry, RetryBudget, Stats, attempt::Shared};
use crate::base::{Ceiling, SharedRng};

/// Applies [`Retry`]. Its services share budget, ceiling, random numbers and counters.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct RetryLayer(Shared);

// === impl RetryLayer ===

impl RetryLayer {
    /// Retries under this policy, with a budget of its own if the policy has one and no ceiling.
    pub fn new(params: Params) -> Self {
        Self(Shared {
            budget: params.budget.map(RetryBudget::new).map(Arc::new),
            params,
            policy: None,
            ceiling: None,
            rng: SharedRng::from_entropy(),
            stats: Arc::default(),
        })
    }

    /// Asks this policy what is sent again and when, in the place of the parameters' terms and waits. Their number of retries,
    /// budget and body cap go on to hold.
    pub fn with_policy(mut self, policy: impl Policy + 'static) -> Self {
        self.0.policy = Some(Arc::new(policy));
        self
    }

    /// Bounds concurrent retries (Istio's `maxRetries`). A retry counts from the decision to its response head.
    pub fn with_ceiling(mut self, ceiling: Ceiling) -> Self {
        self.0.ceiling = Some(ceiling);
        self
    }

    /// Uses a budget that others share, in place of its own.
    pub fn with_budget(mut self, budget: Arc<RetryBudget>) -> Self {
        self.0.budget = Some(budget);
        self
    }

    /// Draws jitter from these numbers.
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.0.rng = rng;
        self
    }

    /// Counts here.
    pub fn with_stats(mut self, stats: Arc<Stats>) -> Self {
        self.0.stats = stats;
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::new(self.0.clone()))
    }
}
