//! The layer that makes [`Classify`] services.

use tower::Layer;

use crate::classify::service::Classify;

/// Classifies what every attempt came to. Stands directly over the connection to one endpoint.
///
/// # Examples
/// ```
/// use llmesh::classify::{ClassifyLayer, HttpClassifier};
/// use tower::ServiceBuilder;
///
/// let service = ServiceBuilder::new()
///     .layer(ClassifyLayer::new(HttpClassifier::default()))
///     .service_fn(|_: http::Request<String>| async {
///         Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::Full::from("hello")))
///     });
/// # let _ = service;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ClassifyLayer<M> {
    make: M,
}

impl<M> ClassifyLayer<M> {
    /// A layer that asks `make` for a classifier for each request.
    pub const fn new(make: M) -> Self {
        Self { make }
    }
}

impl<S, M: Clone> Layer<S> for ClassifyLayer<M> {
    type Service = Classify<S, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Classify::new(inner, self.make.clone())
    }
}
