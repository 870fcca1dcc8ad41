//! The `Layer`.

use std::{fmt, sync::Arc};

use http::request::Parts;
use tower::Layer;

use super::{
    ask::{Asked, Policies},
    service::Authz,
};
use crate::base::Error;

/// Applies [`Authz`].
#[derive(Clone)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct AuthzLayer(Asked);

// === impl AuthzLayer ===

impl AuthzLayer {
    /// Enforces these policies.
    pub fn new(policies: impl Policies) -> Self {
        Self(Asked {
            policies: Arc::new(policies),
            port: None,
        })
    }

    /// Sets the port of the workload, which `ports` of policies mean; without it, that of the address that a connection was
    /// accepted on.
    pub fn with_port(mut self, port: u16) -> Self {
        self.0.port = Some(port);
        self
    }

    /// Asks about a request without passing it on.
    ///
    /// # Errors
    /// [`Kind::Forbidden`](crate::base::Kind::Forbidden) if it may not pass.
    pub fn check(&self, head: &Parts) -> Result<(), Error> {
        self.0.check(head)
    }
}

impl<S> Layer<S> for AuthzLayer {
    type Service = Authz<S>;

    fn layer(&self, inner: S) -> Authz<S> {
        Authz::new(inner, self.0.clone())
    }
}

impl fmt::Debug for AuthzLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthzLayer")
            .field("port", &self.0.port)
            .finish_non_exhaustive()
    }
}
