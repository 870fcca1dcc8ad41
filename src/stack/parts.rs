//! What the stacks of routes are made from.

use std::sync::Arc;

use http::Request;

use super::{Boxed, Cluster};
use crate::{
    base::{SharedRng, ext::Uploading},
    body::Body,
    callers::CallersLayer,
    deadline::DeadlineLayer,
    fallback::{self, Health, Key, Reach},
    limit::{learned::Learned, tokens},
    llm::refused::Refusals,
    model::LlmPolicy,
    retry::{self, RetryBudget, RetryLayer},
    route::params::Forward,
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

/// State of the LLM layers that outlives configurations.
#[derive(Clone, Debug, Default)]
pub struct LlmState {
    /// The counts of token limits.
    pub limits: tokens::Registry,
    /// What targets said is left of their limits.
    pub learned: Arc<Learned>,
    /// What is known of the targets of fallback chains.
    pub health: Health,
    /// What targets refused of what was added to calls.
    pub refusals: Refusals,
    /// What fallback did.
    pub fallback: Arc<fallback::Stats>,
}

/// A target of a chain: what the policy says of it, and how it is reached.
pub type LlmTarget = (fallback::Target, Reach<Boxed>);

/// What the policy of a route adds to it.
#[derive(Clone, Copy, Debug)]
pub struct LlmRules<'a> {
    /// What the policy says.
    pub policy: &'a LlmPolicy,
    /// The key of the policy's own [`credential`](LlmPolicy::credential); `None` if it has none, or it cannot be read.
    pub key: Option<&'a Key>,
    /// Who may come in; `None`: everybody.
    pub callers: Option<&'a CallersLayer>,
    /// The models that the routes of its virtual host match on by name: what is listed beside the policy's aliases.
    pub named: &'a [Arc<str>],
    /// What outlives the configuration.
    pub state: &'a LlmState,
}

// === impl RouteStack ===

impl RouteStack<'_> {
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
