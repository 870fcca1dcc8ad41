//! The layer.

use std::sync::{Arc, LazyLock};

use tower::Layer;

use super::{Params, Stream};

/// Applies [`Stream`]. Put it directly over the connection to one endpoint, below [`ClassifyLayer`](crate::classify::ClassifyLayer).
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is applied to a service"]
pub struct StreamLayer {
    params: Arc<Params>,
}

// === impl StreamLayer ===

impl StreamLayer {
    /// Watches streams with these parameters, unless the request has a [`Policy`](super::Policy) of its own.
    pub fn new(params: impl Into<Arc<Params>>) -> Self {
        Self {
            params: params.into(),
        }
    }
}

impl Default for StreamLayer {
    /// With [`Params::default`]. Costs no allocation: a service may be made for each attempt.
    fn default() -> Self {
        static DEFAULT: LazyLock<Arc<Params>> = LazyLock::new(Arc::default);
        Self {
            params: Arc::clone(&DEFAULT),
        }
    }
}

impl<S> Layer<S> for StreamLayer {
    type Service = Stream<S>;

    fn layer(&self, inner: S) -> Stream<S> {
        Stream::new(inner, Arc::clone(&self.params))
    }
}
