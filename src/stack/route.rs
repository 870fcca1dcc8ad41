//! The route stack: what spans all attempts of a request.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, service_fn};

use super::{Boxed, Cluster, served::ServedLayer};
use crate::{
    base::{BoxError, Error, Kind, SharedRng, ext::Uploading},
    body::{Body, replay::Replay},
    deadline::{DeadlineLayer, PropagateLayer},
    retry::{self, RetryBudget, RetryLayer},
    route::params::Forward,
    spans::{AttemptSpanLayer, CallSpanLayer},
};

/// The stack of one weighted destination of a route, over its cluster's stack.
#[must_use]
pub fn route(forward: &Forward, cluster: &Cluster, inner: Boxed, rng: &SharedRng) -> Boxed {
    let own = forward.retry.budget.is_some();
    let budget = cluster.retry_budget().filter(|_| !own);
    let retry = retry(forward.retry.clone(), cluster, budget, rng);
    let deadline = DeadlineLayer::new(forward.deadline.clone())
        .with_stats(Arc::clone(&cluster.deadline_stats));
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(ServedLayer)
        .map_request(uploading)
        .layer(deadline)
        .layer(CallSpanLayer::new())
        .layer(retry)
        .layer(AttemptSpanLayer::new())
        .layer(PropagateLayer::new())
        .map_request(|request: Request<Replay<Body>>| request.map(Body::new))
        .service(inner);
    Boxed::new(stack)
}

/// Says so of a request that is not known whole: the route's time begins when it is.
pub(super) fn uploading(mut request: Request<Body>) -> Request<Body> {
    if !request.body().is_whole() {
        request.extensions_mut().insert(Uploading);
    }
    request
}

/// A target's retries: under its cluster's ceiling, paid from this budget.
pub(super) fn retry(
    params: retry::Params,
    cluster: &Cluster,
    budget: Option<Arc<RetryBudget>>,
    rng: &SharedRng,
) -> RetryLayer {
    let retry = RetryLayer::new(params)
        .with_ceiling(cluster.retries.clone())
        .with_stats(Arc::clone(&cluster.retry_stats))
        .with_rng(rng.clone());
    match budget {
        Some(budget) => retry.with_budget(budget),
        None => retry,
    }
}

/// What answers where a route names a cluster that does not exist: 503 `NC`.
#[must_use]
pub fn missing(cluster: &Arc<str>) -> Boxed {
    let cluster = Arc::clone(cluster);
    Boxed::new(service_fn(move |_: Request<Body>| {
        let error = Error::new(Kind::NoCluster).with_detail(cluster.to_string());
        std::future::ready(Err::<Response<Body>, BoxError>(error.into()))
    }))
}
