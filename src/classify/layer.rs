//! The layer that makes [`Classify`] services.

use tower::Layer;

use crate::classify::service::Classify;

/// Classifies what every attempt came to. Stands directly over the connection to one endpoint.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
///
/// use http::{Request, Response};
/// use llmesh::{
///     body::Body,
///     classify::{ClassifyLayer, HttpClassifier},
/// };
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), llmesh::base::BoxError> {
/// let upstream = service_fn(|_: Request<Body>| async {
///     Ok::<_, Infallible>(Response::new(Body::from("hello")))
/// });
/// let service = ClassifyLayer::new(HttpClassifier::default()).layer(upstream);
/// let response = service.oneshot(Request::new(Body::empty())).await?;
/// assert!(response.body().class().is_some_and(|class| class.is_success()));
/// # Ok(())
/// # }
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
