//! The stack of a route with an LLM policy.
//!
//! ```text
//! SERVED ▸ DEADLINE ▸ CALLERS ▸ LIST ▸ CALL ▸ SPAN ▸ MODELS ▸ ALIAS ▸ TOKEN LIMITS ▸ OWN KEY ▸ FALLBACK
//!   FALLBACK ─┬─ RETRY ▸ USAGE ▸ LEARN ▸ cluster     the route's own target
//!             └─ RETRY ▸ USAGE ▸ LEARN ▸ cluster …   those of the chain
//! ```
//!
//! CALLERS, where the policy has any, stands above CALL, so that nothing is read of who is not let in; what a caller may use
//! (MODELS) is known once the call is read. OWN KEY stands below all that look at the caller's key, and above FALLBACK, so that
//! the health of a target is that of the key that it is asked with.
//!
//! LIST stands below CALLERS, since lists are for them. ALIAS stands below MODELS, which know what callers say, above TOKEN LIMITS,
//! so that the names of one model share its allowance, and above FALLBACK, whose targets are asked for the model that is meant.
//! USAGE stands below RETRY: what it adds and takes back again is one attempt at one target, and above the trace of an attempt,
//! so that each send has a span of its own.
//! LEARN reads of each attempt's answer what is left of its target's limits; FALLBACK asks before it chooses. Under
//! `status-only` it does not, since there no provider's words are read.

use std::sync::Arc;

use http::{Request, Response};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use super::{
    Boxed, Cluster,
    route::{retry, uploading},
    served::ServedLayer,
};
use crate::{
    base::{
        SharedRng,
        cost::Ledger,
        ext::{Explains, Guarded, LastTarget, Ordinary, Record},
    },
    body::{Body, replay::Replay},
    call::{self, CallLayer},
    callers::{CallersLayer, ModelsLayer},
    deadline::{DeadlineLayer, PropagateLayer},
    fallback::{self, FallbackLayer, Health, Key, OwnKey, OwnKeyed, Reach},
    limit::{
        learned::{self, LearnLayer, Learned, Need, Room},
        tokens::{self, TokenLimitLayer},
    },
    llm::{
        Dialect, DialectMode,
        dialect::{Api, LlmCall},
        path::lies_under,
        refused::Refusals,
        request::Call,
    },
    model::LlmPolicy,
    models::{AliasLayer, ListLayer},
    respond::Speaks,
    retry::RetryBudget,
    route::{params::Forward, rewrite::key_headers},
    spans::{AttemptSpanLayer, CallSpanLayer},
    stream,
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
    /// The key of the policy's own [`credential`](LlmPolicy::credential); `None` if it has none, or it cannot be read.
    pub key: Option<&'a Key>,
    /// Who may come in; `None`: everybody.
    pub callers: Option<&'a CallersLayer>,
    /// The models that the routes of its virtual host match on by name: what is listed beside the policy's aliases.
    pub named: &'a [Arc<str>],
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
        let aliases = (!policy.models.is_empty()).then_some(&policy.models);
        let alias = aliases.map(|aliases| AliasLayer::new(Arc::clone(aliases)));
        let paths: Arc<[String]> = policy.paths.clone().into();
        let (quiet, verbatim) = (!policy.headers, dialect == DialectMode::StatusOnly);
        let guarded = !policy.plaintext;
        let restricted = policy
            .callers
            .iter()
            .any(|caller| !caller.models.is_empty());
        let keyed = self.own_key(name);
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
                if guarded {
                    extensions.insert(Guarded);
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
            .option_layer(self.callers.cloned())
            .layer(self.list())
            .layer(CallLayer::new(call))
            .layer(CallSpanLayer::new())
            .option_layer(restricted.then(|| ModelsLayer::new(dialect)))
            .option_layer(alias)
            .layer(limits)
            .map_request(move |request| match &keyed {
                Some(keyed) => keyed.apply(request),
                None => request,
            })
            .layer(self.fallback(name, chain, state))
            .service(own);
        Boxed::new(stack)
    }

    /// What becomes of the caller's key on its way to the cluster `name`; `None`: nothing.
    fn own_key(&self, name: &Arc<str>) -> Option<OwnKeyed> {
        // The key that a caller comes in with is nobody else's business.
        let none = || (!self.policy.callers.is_empty()).then(OwnKey::default);
        let params = self.policy.credential.clone().or_else(none)?;
        let to = self.forward.destinations.iter();
        let at = to.take_while(|to| to.cluster != *name).count();
        let kept = key_headers(self.forward, at).cloned().collect();
        Some(
            OwnKeyed::new(params, self.key.cloned(), name)
                .with_dialect(self.policy.stream.dialect)
                .with_kept(kept),
        )
    }

    /// Lists of models are answered with aliases, then with what routes name; with nothing, where that is not asked for.
    fn list(&self) -> ListLayer {
        let policy = self.policy;
        let mut names: Vec<_> = policy.models.names().cloned().collect();
        for name in self.named {
            if !names.contains(name) {
                names.push(Arc::clone(name));
            }
        }
        if policy.list_models {
            ListLayer::new(names.into(), policy.stream.dialect)
        } else {
            ListLayer::default()
        }
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
        if self.policy.stream.dialect == DialectMode::StatusOnly {
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
        if self.policy.stream.dialect != DialectMode::StatusOnly {
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
            .layer(AttemptSpanLayer::new().with_cluster(Arc::clone(name)))
            .layer(PropagateLayer::new())
            .layer(LearnLayer::new(
                Arc::clone(&state.learned),
                Arc::clone(name),
            ))
            .service(inner);
        let stack = Boxed::new(stack);
        let own = self.policy.credential.as_ref();
        let has_key = self.key.is_some() || own.is_none_or(|own| own.credential.is_none());
        if has_key { stack } else { checked(stack) }
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

/// A target that is not asked by who should bring the key of the route's own, which cannot be read.
fn checked(inner: Boxed) -> Boxed {
    Boxed::new(service_fn(move |request: Request<Body>| {
        let inner = inner.clone();
        async move {
            OwnKeyed::check(&request)?;
            inner.oneshot(request).await
        }
    }))
}

/// Says of a request whether it is an LLM call; where the policy tells more than the path, also in whose words its caller is
/// answered.
fn meet(
    request: &mut Request<Body>,
    setting: DialectMode,
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
        DialectMode::Auto => named,
        DialectMode::Fixed(_) => true,
        DialectMode::StatusOnly => false,
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
