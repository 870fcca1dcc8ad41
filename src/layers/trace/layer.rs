//! The layers that make [`Trace`] and [`Inject`] services.

use tower::Layer;

use super::{
    params::Params,
    service::{Inject, Trace},
};
use crate::base::SharedRng;

/// Takes up or starts a trace, once per request. Stands outside retries.
#[derive(Clone, Debug)]
pub struct TraceLayer {
    params: Params,
    rng: SharedRng,
}

/// Writes the caller's context where a request has lost it. Stands inside retries.
#[derive(Clone, Copy, Debug, Default)]
pub struct InjectLayer(());

// === impl TraceLayer ===

impl TraceLayer {
    /// A layer with these parameters; ids come from a generator seeded from the system.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self {
            params,
            rng: SharedRng::from_entropy(),
        }
    }

    /// Sets the generator that ids come from.
    #[must_use]
    pub fn with_rng(mut self, rng: SharedRng) -> Self {
        self.rng = rng;
        self
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace::new(inner, self.params.clone(), self.rng.clone())
    }
}

// === impl InjectLayer ===

impl InjectLayer {
    /// The layer.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for InjectLayer {
    type Service = Inject<S>;

    fn layer(&self, inner: S) -> Inject<S> {
        Inject::new(inner)
    }
}
