//! Which LlmPolicy a route gets.
//!
//! The more specific one wins whole: routes of hosts, then routes, then hosts (an exact name, then the longest wildcard),
//! then a namespace, then the mesh. Policies are never merged. One of a higher layer goes before all of a lower.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Linker,
    fallback::Own,
    findings::Tally,
    place::{Place, is_named},
    rules::ROOT_NAMESPACE,
};
use crate::{
    config::{Layer, diagnostic::Severity, llm_policy::LlmPolicy, names},
    layers::route::params::{Action, Forward, Route},
    model::{self, VirtualHost},
};

/// How specific a policy's choice of a route is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::config) struct Rank {
    layer: Layer,
    /// Routes of hosts, routes, hosts, neither.
    level: u8,
    /// The length of the host pattern; exact names go before all patterns.
    host: usize,
    /// Of the namespace, not of the mesh.
    own: bool,
}

/// Policies that were linked for the same clusters before.
type Linked = BTreeMap<(usize, Option<Own>), model::llm::Shared>;

// === impl Linker ===

impl Linker<'_> {
    /// Gives each route its policy.
    pub(super) fn policies(&self, policies: &[LlmPolicy], hosts: &mut [VirtualHost]) {
        if policies.is_empty() {
            return;
        }
        let (mut tally, mut linked) = (Tally::default(), Linked::new());
        for host in hosts.iter_mut() {
            let name = host.domains.first().cloned().unwrap_or_default();
            let namespace = self.namespace_of(&name, &host.origin);
            let ranked = policies.iter().enumerate();
            let ranked: Vec<_> = ranked
                .filter_map(|(index, policy)| {
                    let names = std::iter::once(&*name).chain(self.registry.aliases_of(&name));
                    let ranks = names.filter_map(|name| rank(policy, name, &namespace));
                    Some((index, ranks.max()?))
                })
                .collect();
            let of_route = |route: &Route| {
                let Action::Forward(forward) = &route.action else {
                    return None;
                };
                let place = Place { host: &name, route };
                let winner = self.winner(policies, &ranked, place, &mut tally)?;
                tally.note_clocks(winner, policies, place, forward);
                Some(self.linked(winner, policies, place, forward, &mut tally, &mut linked))
            };
            let llm: Vec<_> = host.routes.iter().map(of_route).collect();
            if llm.iter().any(Option::is_some) {
                host.llm = llm;
            }
        }
        for (index, policy) in policies.iter().enumerate() {
            self.check_policy(index, policy, hosts, &tally);
        }
    }

    /// The namespace of a host's service, else of the VirtualService that serves it.
    fn namespace_of(&self, host: &str, origin: &str) -> String {
        let known = self.registry.services.get(host);
        known.map_or_else(
            || origin.split('/').nth(1).unwrap_or_default().to_owned(),
            |known| known.namespace.clone(),
        )
    }

    /// The most specific policy of a route, by position. Of equals the first in load order wins, and the others are told.
    fn winner(
        &self,
        policies: &[LlmPolicy],
        ranked: &[(usize, Rank)],
        at: Place<'_>,
        tally: &mut Tally,
    ) -> Option<usize> {
        let ranks: Vec<_> = ranked
            .iter()
            .filter(|(index, _)| takes(&policies[*index], at.route))
            .copied()
            .collect();
        tally
            .selecting
            .extend(ranks.iter().map(|(index, _)| *index));
        let best = ranks.iter().map(|(_, rank)| *rank).max()?;
        let (winner, _) = *ranks.iter().find(|(_, rank)| *rank == best)?;
        tally.winning.insert(winner);
        for (loser, rank) in ranks {
            let overlaid = best.layer > rank.layer;
            if loser != winner && (overlaid || rank == best) && tally.told.insert((winner, loser)) {
                self.conflict_of(&policies[winner], &policies[loser], at, overlaid);
            }
        }
        Some(winner)
    }

    fn conflict_of(&self, winner: &LlmPolicy, loser: &LlmPolicy, at: Place<'_>, overlaid: bool) {
        let message = format!(
            "{at} already has {}; {} has no effect on it",
            winner.place,
            loser.origin.resource()
        );
        if overlaid {
            let hint = winner.origin.layer.hint();
            let rule = "llm-policy-overlaid";
            self.report.note(&loser.place, rule, message, hint);
            return;
        }
        let hint = "policies are not merged: put all of it into one, or name `routes` or `hosts` in the one that shall win";
        let severity = if self.options.strict {
            Severity::Error
        } else {
            Severity::Warning
        };
        let rule = "llm-policy-conflict";
        self.report.add(&loser.place, severity, rule, message, hint);
    }

    /// The policy for a route, with its targets. Routes to the same clusters share it.
    fn linked(
        &self,
        index: usize,
        policies: &[LlmPolicy],
        at: Place<'_>,
        forward: &Forward,
        tally: &mut Tally,
        linked: &mut Linked,
    ) -> model::llm::Shared {
        let policy = &policies[index];
        // Without targets it is the same for all of its routes.
        let own = (!policy.targets.is_empty()).then(|| {
            let clusters = forward.destinations.iter();
            let mut clusters: Vec<_> = clusters.map(|d| Arc::clone(&d.cluster)).collect();
            clusters.sort();
            clusters.dedup();
            Own::of(&clusters, at.host)
        });
        let key = (index, own);
        if let Some(known) = linked.get(&key) {
            return Arc::clone(known);
        }
        let mut model = policy.model.clone();
        for (position, target) in policy.targets.iter().enumerate() {
            let Some(own) = &key.1 else { break };
            let Some(resolved) = self.target(target, own, &at.to_string()) else {
                continue;
            };
            self.check_spoken((policy, policies), target, &resolved, own);
            let (back, elsewhere) = tally.targets.entry((index, position)).or_default();
            if own.is_back(&resolved) {
                back.get_or_insert_with(|| at.to_string());
            } else {
                *elsewhere = true;
                model.fallback.targets.push(resolved);
            }
        }
        Arc::clone(linked.entry(key).or_insert_with(|| Arc::new(model)))
    }
}

/// How specific a policy is for the routes of a host, those left out of account that it names; `None` if it is not for it.
pub(in crate::config) fn rank(policy: &LlmPolicy, host: &str, namespace: &str) -> Option<Rank> {
    let of_namespace = policy.origin.namespace == namespace;
    let pattern_length = |pattern: &str| {
        if pattern.starts_with('*') {
            pattern.len()
        } else {
            usize::MAX
        }
    };
    let length = match &policy.hosts {
        Some(hosts) => hosts
            .iter()
            .filter(|(pattern, _)| names::covers(pattern, host))
            .map(|(pattern, _)| pattern_length(pattern))
            .max()?,
        None if of_namespace || policy.origin.namespace == ROOT_NAMESPACE => 0,
        None => return None,
    };
    Some(Rank {
        layer: policy.origin.layer,
        level: 2 * u8::from(policy.routes.is_some()) + u8::from(policy.hosts.is_some()),
        host: length,
        own: policy.hosts.is_some() || of_namespace,
    })
}

/// Whether a policy is for a route of a host that it is for.
fn takes(policy: &LlmPolicy, route: &Route) -> bool {
    let routes = policy.routes.as_ref();
    routes.is_none_or(|routes| routes.iter().any(|(name, _)| is_named(route, name)))
}
