//! The [`Layer`].

use tower::Layer;

use super::{handle::Handle, params::Params, service::Breaker};

/// Puts a circuit in front of a service.
#[derive(Clone, Debug)]
pub struct BreakerLayer {
    handle: Handle,
}

// === impl BreakerLayer ===

impl BreakerLayer {
    /// A layer with a closed circuit of its own.
    #[must_use]
    pub fn new(params: Params) -> Self {
        Self::shared(Handle::new(params))
    }

    /// A layer that shares a circuit.
    #[must_use]
    pub const fn shared(handle: Handle) -> Self {
        Self { handle }
    }

    /// The circuit.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl<S> Layer<S> for BreakerLayer {
    type Service = Breaker<S>;

    fn layer(&self, inner: S) -> Breaker<S> {
        Breaker::new(inner, self.handle.clone())
    }
}
