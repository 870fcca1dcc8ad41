//! The cluster stack, and the state behind it that outlives configurations.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::{Layer, Service, ServiceBuilder, util::BoxCloneSyncService};

use super::{Boxed, CountLayer, Counters, count::Count};
use crate::{
    balance::{Balance, Dial, EndpointSet},
    base::{BoxError, Ceiling, SharedRng},
    body::Body,
    classify::{Classify, ClassifyLayer},
    deadline,
    limit::concurrency::ConcurrencyLayer,
    llm::LlmClassifier,
    model, retry,
};

/// The state of one cluster: endpoints with their health, ceilings, counters. Parameters change, this stays.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Endpoints and ejections.
    pub endpoints: EndpointSet,
    /// Attempts in flight (`http2MaxRequests`).
    pub requests: Ceiling,
    /// Retries in flight (`maxRetries`).
    pub retries: Ceiling,
    /// Attempts and answers.
    pub counters: Arc<Counters>,
    /// What retries did.
    pub retry_stats: Arc<retry::Stats>,
    /// Requests that ran into their deadline.
    pub deadline_stats: Arc<deadline::Stats>,
}

/// What an attempt goes through once its endpoint is picked.
pub type EndpointService<S> = Count<Classify<S, LlmClassifier>>;

/// Puts an attempt's own layers over the service that reaches its endpoint.
pub fn endpoint<S>(
    inner: S,
    counters: &Arc<Counters>,
    classifier: LlmClassifier,
) -> EndpointService<S> {
    CountLayer::new(Arc::clone(counters)).layer(ClassifyLayer::new(classifier).layer(inner))
}

// === impl Cluster ===

impl Cluster {
    /// The state of a new cluster.
    #[must_use]
    pub fn new(model: &model::Cluster) -> Self {
        let name = model.name.to_string();
        Self {
            endpoints: EndpointSet::new(name, model.balance.clone(), model.outlier.clone()),
            requests: Ceiling::new(model.pool.max_requests.into()),
            retries: Ceiling::new(model.pool.max_retries.into()),
            counters: Arc::default(),
            retry_stats: Arc::default(),
            deadline_stats: Arc::default(),
        }
    }

    /// Puts changed parameters in force. Counts, ejections and permits are kept.
    pub fn set(&self, model: &model::Cluster) {
        self.endpoints
            .set_params(model.balance.clone(), model.outlier.clone());
        self.requests.set_limit(model.pool.max_requests.into());
        self.retries.set_limit(model.pool.max_retries.into());
    }

    /// The stack: ceiling, balancer, and what `dial` gives for an endpoint.
    pub fn service<D, S, R>(&self, dial: D, rng: &SharedRng) -> Boxed
    where
        D: Dial<Service = S> + Clone + Send + Sync + 'static,
        S: Service<Request<Body>, Response = Response<R>> + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError> + 'static,
    {
        let stack = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(ConcurrencyLayer::new(self.requests.clone()))
            .service(Balance::new(self.endpoints.clone(), dial).with_rng(rng.clone()));
        BoxCloneSyncService::new(stack)
    }
}
