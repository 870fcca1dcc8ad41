//! What an operator says about LLM traffic: the parameters of all LLM layers of a route, in one place.

use std::{sync::Arc, time::Duration};

use crate::{
    layers::{
        callers::params::{Caller, CallerKey},
        fallback,
        limit::tokens::params::Params as TokenLimits,
        retry::params::Budget,
        stream,
    },
    llm::request::Aliases,
};

/// The LLM policy of some routes. What an `LlmPolicy` resource compiles to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LlmPolicy {
    /// Where it was defined (`kind/namespace/name`), for people.
    pub origin: String,
    /// Prefixes of paths that are LLM calls beside those of every dialect, compared element by element.
    pub paths: Vec<String>,
    /// Dialect, clocks, commit, usage.
    pub stream: stream::Params,
    /// What it changes about retries.
    pub retries: Retries,
    /// Other names of models.
    pub models: Arc<Aliases>,
    /// Whether lists of models are answered here, with the aliases and the models that routes match on by name.
    pub list_models: bool,
    /// Other targets.
    pub fallback: fallback::Params,
    /// Limits on requests and tokens.
    pub limits: TokenLimits,
    /// Who may come in, each with a key. Empty: everybody may.
    pub callers: Vec<Caller>,
    /// The key that the route's own targets are asked with. `None`: the caller's goes on as it came, unless keys of
    /// [callers](Self::callers) are asked for.
    pub credential: Option<fallback::params::OwnKey>,
    /// Whether keys of this side may go over connections to other hosts without TLS.
    pub plaintext: bool,
    /// Whether answers that were made or given up on here carry `x-llmesh-class`, `x-llmesh-attempts` and
    /// `x-llmesh-target`.
    pub headers: bool,
}

/// What a policy changes about a route's retries. The number of retries stays the route's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Retries {
    /// The budget, in place of the cluster's.
    pub budget: Option<Budget>,
    /// The longest provider's hint that is waited for, in place of the route's.
    pub max_hint: Option<Duration>,
    /// Whether whatever the classifier calls worth a retry is retried until the first token, beside what `retryOn` lists.
    pub before_first_token: bool,
}

// === impl LlmPolicy ===

impl LlmPolicy {
    /// Where its keys are read from. The same place may come twice.
    pub fn credentials(&self) -> impl Iterator<Item = &fallback::params::Credential> {
        let own = self
            .credential
            .iter()
            .filter_map(|own| own.credential.as_ref());
        let targets = self.fallback.targets.iter();
        let callers = self.callers.iter().flat_map(|caller| &caller.keys);
        own.chain(targets.filter_map(|target| target.credential.as_ref()))
            .chain(callers.filter_map(|key| match key {
                CallerKey::Stored(from) => Some(from),
                CallerKey::Sha256(_) => None,
            }))
    }
}

impl Default for LlmPolicy {
    /// What holds where no policy is given: streams are watched, nothing is limited.
    fn default() -> Self {
        Self {
            origin: String::new(),
            paths: Vec::new(),
            stream: stream::Params::default(),
            retries: Retries::default(),
            models: Arc::default(),
            list_models: false,
            fallback: fallback::Params::default(),
            limits: TokenLimits::default(),
            callers: Vec::new(),
            credential: None,
            plaintext: false,
            headers: true,
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            budget: None,
            max_hint: None,
            before_first_token: true,
        }
    }
}

/// A policy, shared by the routes that it is for.
pub type Shared = Arc<LlmPolicy>;
