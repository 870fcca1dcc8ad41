//! The layer.

use std::{fmt, sync::Arc};

use tower::Layer;

use super::{Params, Registry, TokenLimit, admit::Limits};
use crate::base::cost::{BytesPerToken, Estimate};

/// Limits requests and tokens. All services it makes share the counts.
#[derive(Clone)]
pub struct TokenLimitLayer {
    params: Params,
    registry: Registry,
    estimate: Arc<dyn Estimate>,
    limits: Arc<Limits>,
}

// === impl TokenLimitLayer ===

impl TokenLimitLayer {
    /// These limits, with counts of their own and four bytes a token.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self::build(params, Registry::default(), Arc::<BytesPerToken>::default())
    }

    /// Counts in this registry.
    #[must_use]
    pub fn with_registry(self, registry: &Registry) -> Self {
        Self::build(self.params, registry.clone(), self.estimate)
    }

    /// Estimates input tokens so.
    #[must_use]
    pub fn with_estimate(self, estimate: impl Estimate + 'static) -> Self {
        Self::build(self.params, self.registry, Arc::new(estimate))
    }

    /// The registry that is counted in.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    fn build(params: Params, registry: Registry, estimate: Arc<dyn Estimate>) -> Self {
        let limits = Limits::new(&params, &registry, Arc::clone(&estimate));
        Self {
            params,
            registry,
            estimate,
            limits: Arc::new(limits),
        }
    }
}

impl<S> Layer<S> for TokenLimitLayer {
    type Service = TokenLimit<S>;

    fn layer(&self, inner: S) -> TokenLimit<S> {
        TokenLimit::new(inner, Arc::clone(&self.limits))
    }
}

impl fmt::Debug for TokenLimitLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLimitLayer")
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}
