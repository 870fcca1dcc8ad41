//! The route stack: what spans all attempts of a request.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, service_fn, util::BoxCloneSyncService};

use super::{Boxed, Cluster, served::ServedLayer};
use crate::{
    base::{BoxError, Error, Kind, SharedRng},
    body::{Body, replay::Replay},
    deadline::{DeadlineLayer, PropagateLayer},
    llm::Setting,
    model::LlmPolicy,
    retry::RetryLayer,
    route::params::Forward,
    trace::InjectLayer,
};

/// The stack of one weighted destination of a route, over its cluster's stack.
#[must_use]
pub fn route(
    forward: &Forward,
    policy: Option<&Arc<LlmPolicy>>,
    cluster: &Cluster,
    inner: Boxed,
    rng: &SharedRng,
) -> Boxed {
    let retry = retry(forward, policy.map(|p| &**p), cluster).with_rng(rng.clone());
    let dialect = policy.map_or(Setting::Auto, |policy| policy.stream.dialect);
    let deadline = DeadlineLayer::new(forward.deadline.clone())
        .with_stats(Arc::clone(&cluster.deadline_stats));
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(ServedLayer)
        .layer(deadline)
        .layer(retry)
        .layer(InjectLayer::new().with_rng(rng.clone()))
        .layer(PropagateLayer::new())
        .map_request(move |mut request: Request<Replay<Body>>| {
            if dialect != Setting::Auto {
                request.extensions_mut().insert(dialect);
            }
            request.map(Body::new)
        })
        .service(inner);
    BoxCloneSyncService::new(stack)
}

/// The retries of a route. A budget of its own goes before its policy's, and that before the cluster's.
fn retry(forward: &Forward, policy: Option<&LlmPolicy>, cluster: &Cluster) -> RetryLayer {
    let mut params = forward.retry.clone();
    let changes = policy.map(|policy| &policy.retries);
    if let Some(max_hint) = changes.and_then(|retries| retries.max_hint) {
        params.max_hint = max_hint;
    }
    let of_policy = policy.and_then(|policy| Some((policy, policy.retries.budget?)));
    let shared = match (params.budget, of_policy) {
        (Some(_), _) => None,
        (None, Some((policy, budget))) => Some(cluster.policy_budget(&policy.origin, budget)),
        (None, None) => cluster.retry_budget(),
    };
    let retry = RetryLayer::new(params)
        .with_ceiling(cluster.retries.clone())
        .with_stats(Arc::clone(&cluster.retry_stats));
    match shared {
        Some(budget) => retry.with_budget(budget),
        None => retry,
    }
}

/// What answers where a route names a cluster that does not exist: 503 `NC`.
#[must_use]
pub fn missing(cluster: &Arc<str>) -> Boxed {
    let cluster = Arc::clone(cluster);
    BoxCloneSyncService::new(service_fn(move |_: Request<Body>| {
        let error = Error::new(Kind::NoCluster).with_detail(cluster.to_string());
        std::future::ready(Err::<Response<Body>, BoxError>(error.into()))
    }))
}
