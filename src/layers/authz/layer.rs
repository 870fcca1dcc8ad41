//! The `Layer`.

use std::{fmt, sync::Arc};

use tower::Layer;

use super::{engine::Engine, service::Authz};

/// Where the policies in force are.
pub trait Policies: Send + Sync + 'static {
    /// Those in force now; asked once a request. `None` where it is not known which: then nothing passes.
    fn engine(&self) -> Option<Arc<Engine>>;
}

/// Applies [`Authz`].
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct AuthzLayer {
    policies: Arc<dyn Policies>,
    port: Option<u16>,
}

// === impl Policies ===

impl Policies for Engine {
    fn engine(&self) -> Option<Arc<Engine>> {
        Some(Arc::new(self.clone()))
    }
}

impl Policies for Arc<Engine> {
    fn engine(&self) -> Option<Self> {
        Some(Self::clone(self))
    }
}

impl<F> Policies for F
where
    F: Fn() -> Option<Arc<Engine>> + Send + Sync + 'static,
{
    fn engine(&self) -> Option<Arc<Engine>> {
        self()
    }
}

// === impl AuthzLayer ===

impl AuthzLayer {
    /// Enforces these policies.
    pub fn new(policies: impl Policies) -> Self {
        Self {
            policies: Arc::new(policies),
            port: None,
        }
    }

    /// Sets the port of the workload, which `ports` of policies mean; without it, that of the address that a connection was
    /// accepted on.
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }
}

impl<S> Layer<S> for AuthzLayer {
    type Service = Authz<S>;

    fn layer(&self, inner: S) -> Authz<S> {
        Authz::new(inner, Arc::clone(&self.policies), self.port)
    }
}

impl fmt::Debug for AuthzLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthzLayer")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}
