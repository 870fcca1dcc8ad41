//! The cluster stack, and the state behind it that outlives configurations.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tower::{Layer, Service, ServiceBuilder};

use super::{Boxed, CountLayer, Counters, count::Count};
use crate::{
    balance::{Balance, Dial, EndpointSet},
    base::{BoxError, Ceiling, SharedRng},
    body::Body,
    classify::{Classify, ClassifyLayer},
    deadline,
    limit::concurrency::ConcurrencyLayer,
    llm::LlmClassifier,
    model,
    retry::{self, RetryBudget, params::Budget},
    stream::{Stream, StreamLayer},
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
    /// What all retries to it share.
    retry_budget: Arc<ArcSwapOption<RetryBudget>>,
    /// Budgets that LLM policies put in its place, by the policy's origin, as long as a route holds them.
    policy_budgets: Arc<Mutex<BTreeMap<String, Weak<RetryBudget>>>>,
    /// Attempts and answers.
    pub counters: Arc<Counters>,
    /// What retries did.
    pub retry_stats: Arc<retry::Stats>,
    /// Requests that ran into their deadline.
    pub deadline_stats: Arc<deadline::Stats>,
}

/// What an attempt goes through once its endpoint is picked.
pub type EndpointService<S> = Count<Classify<Stream<S>, LlmClassifier>>;

/// Puts an attempt's own layers over the service that reaches its endpoint. Streams are watched as the request's
/// [`Policy`](crate::stream::Policy) says; without one they have no clocks.
pub fn endpoint<S>(
    inner: S,
    counters: &Arc<Counters>,
    classifier: LlmClassifier,
) -> EndpointService<S> {
    let stream = StreamLayer::default().layer(inner);
    CountLayer::new(Arc::clone(counters)).layer(ClassifyLayer::new(classifier).layer(stream))
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
            retry_budget: Arc::new(ArcSwapOption::new(
                model.retry_budget.map(RetryBudget::new).map(Arc::new),
            )),
            policy_budgets: Arc::default(),
            counters: Arc::default(),
            retry_stats: Arc::default(),
            deadline_stats: Arc::default(),
        }
    }

    /// What all retries to it share; `None` is no bound. A reload may put another one in its place.
    #[must_use]
    pub fn retry_budget(&self) -> Option<Arc<RetryBudget>> {
        self.retry_budget.load_full()
    }

    /// What all retries to it share on the routes of one LLM policy, by the policy's origin. The same one is given again as
    /// long as a route holds it: what was deposited and spent survives a reload, unless the budget's kind or interval changes.
    #[must_use]
    pub fn policy_budget(&self, origin: &str, params: Budget) -> Arc<RetryBudget> {
        let budgets = self.policy_budgets.lock();
        let mut budgets = budgets.unwrap_or_else(PoisonError::into_inner);
        budgets.retain(|_, budget| budget.strong_count() > 0);
        let known = budgets.get(origin).and_then(Weak::upgrade);
        if let Some(known) = known.filter(|known| known.set_params(params)) {
            return known;
        }
        let budget = Arc::new(RetryBudget::new(params));
        budgets.insert(origin.to_owned(), Arc::downgrade(&budget));
        budget
    }

    /// Puts changed parameters in force. Counts, ejections and permits are kept, and what was deposited and spent of the
    /// retry budget unless its interval changes. Routes built before keep the budget that they have.
    pub fn set(&self, model: &model::Cluster) {
        let kept = match (self.retry_budget(), model.retry_budget) {
            (Some(budget), Some(params)) => budget.set_params(params),
            (None, None) => true,
            _ => false,
        };
        if !kept {
            self.retry_budget
                .store(model.retry_budget.map(RetryBudget::new).map(Arc::new));
        }
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
        Boxed::new(stack)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        base::{Ratio, time::Instant},
        model::{ClusterName, Discovery},
    };

    #[tokio::test(start_paused = true)]
    async fn a_policys_budget_is_one_and_survives_a_reload() {
        let name = ClusterName::new(80, "", "svc");
        let cluster = Cluster::new(&model::Cluster::new(name, Discovery::Static(Vec::new())));
        let life = Duration::from_secs(10);
        let of = |floor| Budget::percent(Ratio::ZERO, floor, life);
        let before = cluster.policy_budget("a", of(1));
        let now = Instant::now();
        let spent = before.withdraw(retry::budget::Price::Fault, now);
        assert!(spent.is_some());
        assert_eq!(before.left(now), 9);
        // The same for another route and after a reload that changes it; another policy has its own.
        assert!(Arc::ptr_eq(&before, &cluster.policy_budget("a", of(2))));
        assert_eq!(before.left(now), 19);
        assert_eq!(cluster.policy_budget("b", of(1)).left(now), 10);
        // Another interval cannot take the state over.
        let other = cluster.policy_budget("a", Budget::percent(Ratio::ZERO, 1, life / 2));
        assert_eq!(other.left(now), 5);
        // Nobody holds it: it is forgotten.
        drop((before, other));
        assert_eq!(cluster.policy_budget("a", of(1)).left(now), 10);
        assert_eq!(cluster.policy_budgets.lock().unwrap().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_of_the_budget_survives_a_reload() {
        let name = ClusterName::new(80, "", "svc");
        let mut model = model::Cluster::new(name, Discovery::Static(Vec::new()));
        let cluster = Cluster::new(&model);
        let budget = cluster.retry_budget().unwrap();
        while budget
            .withdraw(retry::budget::Price::Fault, Instant::now())
            .is_some()
        {}
        let left = |c: &Cluster| c.retry_budget().unwrap().left(Instant::now());
        let life = Duration::from_secs(10);
        model.retry_budget = Some(Budget::percent(Ratio::ONE, 3, life));
        cluster.set(&model);
        assert_eq!(left(&cluster), 0);
        assert_eq!(
            Some(cluster.retry_budget().unwrap().params()),
            model.retry_budget
        );
        // Another interval cannot take the state over, and no budget has none.
        model.retry_budget = Some(Budget::percent(Ratio::ONE, 3, life / 2));
        cluster.set(&model);
        assert_eq!(left(&cluster), 15);
        model.retry_budget = None;
        cluster.set(&model);
        assert!(cluster.retry_budget().is_none());
    }
}
