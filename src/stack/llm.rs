//! The stack of a route with an LLM policy.
//!
//! ```text
//! ENTRY ▸ RESPOND ▸ SERVED ▸ DEADLINE ▸ CALLERS ▸ LIST ▸ CALL ▸ SPAN ▸ MODELS ▸ ALIAS ▸ TOKEN LIMITS ▸ OWN KEY ▸ FALLBACK
//!   FALLBACK ─┬─ RETRY ▸ USAGE ▸ LEARN ▸ cluster     the route's own target
//!             └─ RETRY ▸ USAGE ▸ LEARN ▸ cluster …   those of the chain
//! ```
//!
//! ENTRY says what the policy knows of a request, to RESPOND how it is to be answered.
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
    parts::{LlmRules, LlmTarget, RouteStack, uploading},
    served::ServedLayer,
};
use crate::{
    base::{
        cost::Ledger,
        ext::{Guarded, Ordinary, Record},
    },
    body::{Body, Context, RequestBody},
    call::{self, CallLayer},
    callers::ModelsLayer,
    deadline::PropagateLayer,
    fallback::{self, FallbackLayer, Key, OwnKey, OwnKeyed, Reach},
    limit::{
        learned::{self, LearnLayer, Need, Room},
        tokens::TokenLimitLayer,
    },
    llm::{
        DialectMode,
        dialect::{Api, LlmCall},
        path::lies_under,
        request::Call,
    },
    models::{AliasLayer, ListLayer},
    respond::{AnswersTo, InRouteLayer},
    retry::RetryBudget,
    route::{params::Forward, rewrite::key_headers},
    spans::{AttemptSpanLayer, CallSpanLayer},
    stream,
    usage::UsageLayer,
};

/// ENTRY: what the policy says of every request.
#[derive(Debug)]
struct Entry {
    dialect: DialectMode,
    /// Whose paths are LLM calls.
    paths: Arc<[String]>,
    /// How streams are watched.
    watched: stream::Policy,
    /// Whether there is no other target than the route's own.
    last: bool,
    /// Whether keys of this side are kept from the network.
    guarded: bool,
    /// Whether answers carry `x-llmesh-*` headers.
    headers: bool,
}

// === impl RouteStack ===

impl RouteStack<'_> {
    /// A target of the policy's chain. `key` is the one to send there, if it has its own. `None`: there is no policy.
    #[must_use]
    pub fn link(
        &self,
        target: &fallback::Target,
        key: Option<Key>,
        cluster: &Cluster,
        inner: Boxed,
    ) -> Option<LlmTarget> {
        let llm = self.llm.as_ref()?;
        let reach = Reach::new(llm.target(self, &target.cluster, cluster, inner))
            .with_key(key)
            .with_budget(llm.budget(cluster));
        Some((target.clone(), reach))
    }
}

// === impl LlmRules ===

impl LlmRules<'_> {
    /// The stack of one weighted destination: the route's own target, which is the cluster `name`, and those of the chain.
    pub(super) fn stack(
        &self,
        route: &RouteStack<'_>,
        name: &Arc<str>,
        cluster: &Cluster,
        own: Boxed,
        chain: Vec<LlmTarget>,
    ) -> Boxed {
        let policy = self.policy;
        let dialect = policy.stream.dialect;
        let entry = Entry {
            dialect,
            paths: policy.paths.clone().into(),
            watched: stream::Policy(Arc::new(policy.stream.clone())),
            last: chain.is_empty(),
            guarded: !policy.plaintext,
            headers: policy.headers,
        };
        let aliases = (!policy.models.is_empty()).then_some(&policy.models);
        let restricted = policy
            .callers
            .iter()
            .any(|caller| !caller.models.is_empty());
        let keyed = self.own_key(route.forward, name);
        let entry = Arc::new(entry);
        let stack = ServiceBuilder::new()
            .map_request(move |request| entry.meet(request))
            .layer(InRouteLayer)
            .layer(ServedLayer)
            .map_request(uploading)
            .layer(route.deadline(cluster))
            .option_layer(self.callers.cloned())
            .layer(self.list())
            .layer(CallLayer::new(
                call::Params::default().with_dialect(dialect),
            ))
            .layer(CallSpanLayer::new())
            .option_layer(restricted.then(|| ModelsLayer::new(dialect)))
            .option_layer(aliases.map(|aliases| AliasLayer::new(Arc::clone(aliases))))
            .layer(TokenLimitLayer::new(policy.limits.clone()).with_registry(&self.state.limits))
            .map_request(move |request| match &keyed {
                Some(keyed) => keyed.apply(request),
                None => request,
            })
            .layer(self.fallback(name, chain))
            .service(self.target(route, name, cluster, own));
        Boxed::new(stack)
    }

    /// What becomes of the caller's key on its way to the cluster `name`; `None`: nothing.
    fn own_key(&self, forward: &Forward, name: &Arc<str>) -> Option<OwnKeyed> {
        // The key that a caller comes in with is nobody else's business.
        let none = || (!self.policy.callers.is_empty()).then(OwnKey::default);
        let params = self.policy.credential.clone().or_else(none)?;
        let to = forward.destinations.iter();
        let at = to.take_while(|to| to.cluster != *name).count();
        let kept = key_headers(forward, at).cloned().collect();
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

    fn fallback(&self, name: &Arc<str>, chain: Vec<LlmTarget>) -> FallbackLayer<Boxed> {
        let state = self.state;
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
    fn target(
        &self,
        route: &RouteStack<'_>,
        name: &Arc<str>,
        cluster: &Cluster,
        inner: Boxed,
    ) -> Boxed {
        let state = self.state;
        let (retries, mut params) = (&self.policy.retries, route.forward.retry.clone());
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
            .layer(route.retry(params, cluster, budget))
            .map_request(|request: Request<RequestBody>| request.map(Body::new))
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

    /// What retries and fallbacks to a cluster are paid from.
    fn budget(&self, cluster: &Cluster) -> Option<Arc<RetryBudget>> {
        match self.policy.retries.budget {
            Some(budget) => Some(cluster.policy_budget(&self.policy.origin, budget)),
            None => cluster.retry_budget(),
        }
    }
}

// === impl Entry ===

impl Entry {
    /// Says of a request whether it is an LLM call, and to RESPOND, where the policy tells more than the path, in whose words its
    /// caller is answered.
    fn meet(&self, mut request: Request<Body>) -> Request<Body> {
        let named = lies_under(request.uri().path(), &self.paths);
        if named {
            request.extensions_mut().insert(LlmCall);
        }
        let api = Api::of_request(self.dialect, &request);
        let extensions = request.extensions_mut();
        if !api.generates {
            extensions.insert(Ordinary);
        }
        let (told, rules) = match self.dialect {
            DialectMode::Auto => (named, true),
            DialectMode::Fixed(_) => (true, true),
            DialectMode::StatusOnly => (false, false),
        };
        let mut explains = false;
        if let Some(to) = extensions.get_mut::<AnswersTo>() {
            to.restrict(self.headers, rules);
            if let Some(dialect) = api.dialect.filter(|_| told) {
                explains = to.speaks(dialect, api.generates) && api.generates;
            }
        }
        if self.guarded {
            extensions.insert(Guarded);
        }
        if rules {
            let ledger = extensions.get_or_insert_default::<Ledger>().clone();
            if let Some(record) = extensions.get::<Record>() {
                record.note(|n| n.ledger = Some(ledger));
            }
        }
        if explains || self.last {
            Context::edit(&mut request, |context| {
                context.set_explains(explains || context.explains());
                context.set_last_target(self.last || context.last_target());
            });
        }
        self.watched.clone().put(&mut request);
        request
    }
}

// === free functions ===

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
