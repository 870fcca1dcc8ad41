//! From an endpoint to a service.

use std::sync::Arc;

use super::endpoint::Endpoint;

/// Gives the service that reaches an endpoint: a pool, a client bound to an address, a fake.
///
/// It is asked once an attempt, so it must be cheap: clone a handle, do not connect.
pub trait Dial {
    /// The service of one endpoint.
    type Service;

    /// The service that reaches `endpoint`.
    fn dial(&self, endpoint: &Arc<Endpoint>) -> Self::Service;
}

impl<F, S> Dial for F
where
    F: Fn(&Arc<Endpoint>) -> S,
{
    type Service = S;

    fn dial(&self, endpoint: &Arc<Endpoint>) -> S {
        self(endpoint)
    }
}
