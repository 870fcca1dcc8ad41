//! The route stack: what spans all attempts of a request to one weighted destination.
//!
//! ```text
//! RESPOND ▸ SERVED ▸ DEADLINE ▸ RETRY ▸ per attempt: SPAN ▸ DEADLINE propagate ▸ cluster
//! ```
//!
//! Where an LLM policy applies, as [`LlmRules`](super::LlmRules) draw it.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, service_fn};

use super::{
    Boxed, Cluster,
    parts::{LlmTarget, RouteStack, uploading},
    served::ServedLayer,
};
use crate::{
    base::{BoxError, Error, Kind},
    body::{Body, RequestBody},
    deadline::PropagateLayer,
    respond::InRouteLayer,
    spans::{AttemptSpanLayer, CallSpanLayer},
};

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
