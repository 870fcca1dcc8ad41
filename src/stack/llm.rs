//! The stack of a route with an LLM policy.
//!
//! ```text
//! SERVED ▸ DEADLINE ▸ CALL ▸ TOKEN LIMITS ▸ FALLBACK ─┬─ RETRY ▸ USAGE ▸ LEARN ▸ cluster     the route's own target
//!                                                     └─ RETRY ▸ USAGE ▸ LEARN ▸ cluster …   those of the chain
//! ```
//!
//! USAGE stands below RETRY: what it adds and takes back again is one attempt at one target, and above the trace of an attempt,
//! so that each send has a span of its own.
//! LEARN reads of each attempt's answer what is left of its target's limits; FALLBACK asks before it chooses. Under
//! `status-only` it does not, since there no provider's words are read.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

use super::{
    Boxed, Cluster,
    route::{retry, uploading},
    served::ServedLayer,
};
use crate::{
    base::{
        SharedRng,
        cost::Ledger,
        ext::{Explains, LastTarget, Ordinary, Record},
    },
    body::{Body, replay::Replay},
    call::{self, CallLayer},
    deadline::{DeadlineLayer, PropagateLayer},
    fallback::{self, FallbackLayer, Health, Key, Reach},
    limit::{
        learned::{self, LearnLayer, Learned, Need, Room},
        tokens::{self, TokenLimitLayer},
    },
    llm::{
        Dialect, Setting,
        dialect::{Api, LlmCall},
        path::lies_under,
        refused::Refusals,
        request::Call,
    },
    model::LlmPolicy,
    respond::Speaks,
    retry::RetryBudget,
    route::params::Forward,
    stream,
    trace::InjectLayer,
    usage::UsageLayer,
};

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

/// A route under a policy.
#[derive(Clone, Copy, Debug)]
pub struct LlmRoute<'a> {
    /// What the route says.
    pub forward: &'a Forward,
    /// What the policy says.
    pub policy: &'a LlmPolicy,
    /// Every random draw.
    pub rng: &'a SharedRng,
}

// === impl LlmRoute ===

impl LlmRoute<'_> {
    /// The stack of one weighted destination, over [`target`](Self::target)s: the route's own, which is the cluster `name`, and
    /// those of the chain, which may be none.
    #[must_use]
    pub fn stack(
        &self,
        name: &Arc<str>,
        cluster: &Cluster,
        own: Boxed,
        chain: Vec<LlmTarget>,
        state: &LlmState,
    ) -> Boxed {
        let policy = self.policy;
        let dialect = policy.stream.dialect;
        let deadline = DeadlineLayer::new(self.forward.deadline.clone())
            .with_stats(Arc::clone(&cluster.deadline_stats));
        let call = call::Params::default().with_dialect(dialect);
        let limits = TokenLimitLayer::new(policy.limits.clone()).with_registry(&state.limits);
        let paths: Arc<[String]> = policy.paths.clone().into();
        let (quiet, verbatim) = (!policy.headers, dialect == Setting::StatusOnly);
        let (watched, last) = (
            stream::Policy(Arc::new(policy.stream.clone())),
            chain.is_empty(),
        );
        let stack = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(ServedLayer)
            .map_request(uploading)
            .layer(deadline)
            .map_request(move |mut request: Request<Body>| {
                let told = meet(&mut request, dialect, &paths);
                let extensions = request.extensions_mut();
                watched.clone().put(extensions);
                if last {
                    extensions.insert(LastTarget);
                }
                if let Some((dialect, calls)) = told
                    && let Some(speaks) = extensions.get::<Speaks>()
                {
                    speaks.say(dialect, calls);
                    if calls {
                        extensions.insert(Explains);
                    }
                }
                let ledger =
                    (!verbatim).then(|| extensions.get_or_insert_default::<Ledger>().clone());
                if let Some(record) = extensions.get::<Record>() {
                    record.note(|n| {
                        (n.quiet, n.verbatim) = (quiet, verbatim);
                        n.ledger = ledger;
                    });
                }
                request
            })
            .layer(CallLayer::new(call))
            .layer(limits)
            .layer(self.fallback(name, chain, state))
            .service(own);
        BoxCloneSyncService::new(stack)
    }

    fn fallback(
        &self,
        name: &Arc<str>,
        chain: Vec<LlmTarget>,
        state: &LlmState,
    ) -> FallbackLayer<Boxed> {
        let (targets, reach): (Vec<_>, Vec<_>) = chain.into_iter().unzip();
        let mut params = self.policy.fallback.clone();
        params.targets = targets;
        let layer = FallbackLayer::new(params, Arc::clone(name), reach, state.health.clone())
            .with_dialect(self.policy.stream.dialect)
            .with_stats(Arc::clone(&state.fallback))
            .with_refusals(state.refusals.clone());
        if self.policy.stream.dialect == Setting::StatusOnly {
            return layer;
        }
        let (learned, guess) = (
            Arc::clone(&state.learned),
            self.policy.limits.guessed_output(),
        );
        layer.with_room(move |who, call, now| {
            let key = learned::Key::new(&who.cluster, who.credential, who.model.as_deref());
            learned.room(key, need(call, guess), now) == Room::Fits
        })
    }

    /// What one target goes through: its retries, over the stack of its cluster, which is called `name`.
    #[must_use]
    pub fn target(
        &self,
        name: &Arc<str>,
        cluster: &Cluster,
        inner: Boxed,
        state: &LlmState,
    ) -> Boxed {
        let (retries, mut params) = (&self.policy.retries, self.forward.retry.clone());
        if let Some(max_hint) = retries.max_hint {
            params.max_hint = max_hint;
        }
        if self.policy.stream.dialect != Setting::StatusOnly {
            params.retry_on.llm |= retries.before_first_token;
        }
        let budget = match params.budget {
            Some(_) => None,
            None => self.budget(cluster),
        };
        let usage = self
            .policy
            .stream
            .inject_usage
            .then(|| UsageLayer::new(Arc::clone(name), state.refusals.clone()));
        let stack = ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(Body::new))
            .layer(retry(params, cluster, budget, self.rng))
            .map_request(|request: Request<Replay<Body>>| request.map(Body::new))
            .option_layer(usage)
            .layer(InjectLayer::new().with_rng(self.rng.clone()))
            .layer(PropagateLayer::new())
            .layer(LearnLayer::new(
                Arc::clone(&state.learned),
                Arc::clone(name),
            ))
            .service(inner);
        BoxCloneSyncService::new(stack)
    }

    /// A target of the chain. `key` is the one to send there, if it has its own.
    #[must_use]
    pub fn link(
        &self,
        target: &fallback::Target,
        key: Option<Key>,
        cluster: &Cluster,
        inner: Boxed,
        state: &LlmState,
    ) -> LlmTarget {
        let reach = Reach::new(self.target(&target.cluster, cluster, inner, state))
            .with_key(key)
            .with_budget(self.budget(cluster));
        (target.clone(), reach)
    }

    /// What retries and fallbacks to a cluster are paid from.
    fn budget(&self, cluster: &Cluster) -> Option<Arc<RetryBudget>> {
        match self.policy.retries.budget {
            Some(budget) => Some(cluster.policy_budget(&self.policy.origin, budget)),
            None => cluster.retry_budget(),
        }
    }
}

/// Says of a request whether it is an LLM call; where the policy tells more than the path, also in whose words its caller is
/// answered.
fn meet(
    request: &mut Request<Body>,
    setting: Setting,
    paths: &[String],
) -> Option<(Dialect, bool)> {
    let named = lies_under(request.uri().path(), paths);
    if named {
        request.extensions_mut().insert(LlmCall);
    }
    let api = Api::of_request(setting, request);
    if !api.generates {
        request.extensions_mut().insert(Ordinary);
    }
    let told = match setting {
        Setting::Auto => named,
        Setting::Fixed(_) => true,
        Setting::StatusOnly => false,
    };
    let dialect = api.dialect.filter(|_| told)?;
    Some((dialect, api.generates))
}

/// What a request takes of a target's limits.
fn need(call: Option<&Call>, guess: u64) -> Need {
    // What is no generation call takes a request.
    let Some(call) = call else {
        return Need::default();
    };
    Need {
        input: call.estimate_input(),
        output: call.max_output.unwrap_or(guess),
        guessed: call.max_output.is_none(),
    }
}
