//! Who calls whom, and on what terms.

use std::time::Duration;

use super::facts::Labels;
use crate::{
    config::{
        diagnostic::Place,
        istio::{outlier::OutlierBlock, pool::PoolBlock},
        link::rules::Merged,
    },
    layers::retry::params::{Budget, Params, RetryOn},
};

/// What tells a call: an annotation `llmesh.io/calls`.
pub(super) const SAID: &str = "annotation";

/// A caller or callee.
#[derive(Debug)]
pub(super) struct Node {
    /// As short as it is plain.
    pub(super) name: String,
    /// The full name of its service, if it has one.
    pub(super) host: Option<String>,
    pub(super) namespace: String,
    /// Of one of its workloads.
    pub(super) labels: Labels,
    /// Whether calls to it cost money.
    pub(super) paid: bool,
}

/// One service calls another.
pub(super) struct Call<'a> {
    pub(super) caller: usize,
    pub(super) callee: usize,
    /// How often for each request of its own.
    pub(super) times: u32,
    /// A second, from one process of the caller.
    pub(super) rate: Option<f64>,
    pub(super) latency: Option<Duration>,
    /// Where the call is told.
    pub(super) place: Place,
    /// What tells it.
    pub(super) by: &'static str,
    /// Each route that it may take.
    pub(super) terms: Vec<Terms<'a>>,
}

/// What holds for a call on one route.
pub(super) struct Terms<'a> {
    pub(super) place: &'a Place,
    pub(super) route: Option<&'a str>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: &'a Params,
    /// Whether a VirtualService says so, and not the default.
    pub(super) written: bool,
    /// Whether its requests ask for an event stream.
    pub(super) stream: bool,
    /// A budget that an LlmPolicy gives.
    pub(super) budget: Option<Budget>,
    pub(super) legs: Vec<Leg<'a>>,
}

/// One destination of a route.
pub(super) struct Leg<'a> {
    pub(super) host: &'a str,
    pub(super) subset: Option<&'a str>,
    /// Of all requests of the route.
    pub(super) share: f64,
    pub(super) rule: Option<&'a Merged<'a>>,
    pub(super) outlier: Option<&'a OutlierBlock>,
    pub(super) pool: Option<&'a PoolBlock>,
    pub(super) budget: Option<Budget>,
}

// === impl Terms ===

impl Terms<'_> {
    /// How often a request is sent when what is called fails.
    pub(super) fn sends(&self) -> u32 {
        let on = &self.retry.retry_on;
        self.times(on.connect_failure || on.refused_stream || sees_resets(on) || sees_answers(on))
    }

    /// How often a request is sent when what is called answers that something behind it fails.
    pub(super) fn sends_on_error(&self) -> u32 {
        let on = &self.retry.retry_on;
        let cut = self.retry.per_try_timeout.is_some() && sees_resets(on);
        self.times(cut || sees_answers(on))
    }

    /// How often a request is sent whose work may have begun when it failed.
    pub(super) fn sends_after_work(&self) -> u32 {
        let on = &self.retry.retry_on;
        self.times(sees_resets(on) || sees_answers(on))
    }

    fn times(&self, retried: bool) -> u32 {
        if retried {
            self.retry.retries.saturating_add(1)
        } else {
            1
        }
    }

    /// Retries for each request at most, where a budget is written.
    pub(super) fn budget(&self) -> Option<f64> {
        let of_rules = || {
            self.legs
                .iter()
                .map(|leg| leg.budget)
                .collect::<Option<Vec<_>>>()
        };
        let all = match self.budget {
            Some(own) => vec![own],
            None => of_rules()?,
        };
        let share = |budget: &Budget| match budget {
            Budget::Percent { share, .. } => Some(share.get()),
            Budget::TokenBucket { .. } => None,
        };
        all.iter()
            .map(share)
            .try_fold(0.0, |most, one| Some(f64::max(most, one?)))
    }

    /// How long a try of the caller lasts at most.
    pub(super) fn patience(&self) -> Option<Duration> {
        match (self.retry.per_try_timeout, self.timeout) {
            (Some(one), Some(all)) => Some(one.min(all)),
            (one, all) => one.or(all),
        }
    }

    /// `route "name" to`, or nothing.
    pub(super) fn named(&self) -> String {
        self.route
            .map_or_else(String::new, |name| format!(" (route `{name}`)"))
    }
}

fn sees_resets(on: &RetryOn) -> bool {
    on.server_error || on.gateway_error || on.reset
}

fn sees_answers(on: &RetryOn) -> bool {
    let failure = |status: &u16| (500..600).contains(status);
    on.server_error || on.gateway_error || on.llm || on.statuses.iter().any(failure)
}
