//! The route stack: what spans all attempts of a request to one weighted destination.
//!
//! ```text
//! RESPOND ▸ SERVED ▸ DEADLINE ▸ RETRY ▸ per attempt: TRACE inject ▸ DEADLINE propagate ▸ cluster
//! ```
//!
//! Where an LLM policy applies, as [`LlmRules`] draw it.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, service_fn};

use super::{
    Boxed, Cluster,
    llm::{LlmRules, LlmTarget},
    served::ServedLayer,
};
use crate::{
    base::{BoxError, Error, Kind, SharedRng, ext::Uploading},
    body::{Body, RequestBody},
    deadline::{DeadlineLayer, PropagateLayer},
    respond::InRouteLayer,
    retry::{self, RetryBudget, RetryLayer},
    route::params::Forward,
    spans::{AttemptSpanLayer, CallSpanLayer},
};

/// What the stacks of a route's destinations are made from.
#[derive(Clone, Copy, Debug)]
pub struct RouteStack<'a> {
    /// What the route says.
    pub forward: &'a Forward,
    /// Every random draw.
    pub rng: &'a SharedRng,
    /// What its LLM policy says; `None`: the route has none.
    pub llm: Option<LlmRules<'a>>,
}

// === impl RouteStack ===

impl RouteStack<'_> {
    /// The stack of one weighted destination, which is the cluster `name`, over its own stack, and over the targets of its
    /// policy's chain, if there are any.
    #[must_use]
    pub fn stack(
        &self,
        name: &Arc<str>,
        cluster: &Cluster,
        own: Boxed,
        chain: Vec<LlmTarget>,
    ) -> Boxed {
        if let Some(llm) = &self.llm {
            return llm.stack(self, name, cluster, own, chain);
        }
        let own_budget = self.forward.retry.budget.is_some();
        let budget = cluster.retry_budget().filter(|_| !own_budget);
        let stack = ServiceBuilder::new()
            .layer(InRouteLayer)
            .layer(ServedLayer)
            .map_request(uploading)
            .layer(self.deadline(cluster))
            .layer(CallSpanLayer::new())
            .layer(self.retry(self.forward.retry.clone(), cluster, budget))
            .layer(AttemptSpanLayer::new())
            .layer(PropagateLayer::new())
            .map_request(|request: Request<RequestBody>| request.map(Body::new))
            .service(own);
        Boxed::new(stack)
    }

    /// The route's time.
    pub(super) fn deadline(&self, cluster: &Cluster) -> DeadlineLayer {
        DeadlineLayer::new(self.forward.deadline.clone())
            .with_stats(Arc::clone(&cluster.deadline_stats))
    }

    /// A target's retries: under its cluster's ceiling, paid from this budget.
    pub(super) fn retry(
        &self,
        params: retry::Params,
        cluster: &Cluster,
        budget: Option<Arc<RetryBudget>>,
    ) -> RetryLayer {
        let retry = RetryLayer::new(params)
            .with_ceiling(cluster.retries.clone())
            .with_stats(Arc::clone(&cluster.retry_stats))
            .with_rng(self.rng.clone());
        match budget {
            Some(budget) => retry.with_budget(budget),
            None => retry,
        }
    }
}

/// Says so of a request that is not known whole: the route's time begins when it is.
pub(super) fn uploading(mut request: Request<Body>) -> Request<Body> {
    if !request.body().is_whole() {
        request.extensions_mut().insert(Uploading);
    }
    request
}

/// What answers where a route names a cluster that does not exist: 503 `NC`.
#[must_use]
pub fn missing(cluster: &Arc<str>) -> Boxed {
    let cluster = Arc::clone(cluster);
    let nobody = service_fn(move |_: Request<Body>| {
        let error = Error::new(Kind::NoCluster).with_detail(cluster.to_string());
        std::future::ready(Err::<Response<Body>, BoxError>(error.into()))
    });
    Boxed::new(ServiceBuilder::new().layer(InRouteLayer).service(nobody))
}
