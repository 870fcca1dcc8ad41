//! Which LlmPolicy a route gets.
//!
//! The more specific one wins whole: routes of hosts, then routes, then hosts (an exact name, then the longest wildcard),
//! then a namespace, then the mesh. Policies are never merged. An overlay's goes before all others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Linker, fallback::Own, rules::ROOT_NAMESPACE};
use crate::{
    config::{decode::nearest, diagnostic::Severity, llm_policy::LlmPolicy, names},
    layers::route::params::{Action, Forward, Route},
    model::{self, VirtualHost},
};

/// How specific a policy's choice of a route is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    overlay: bool,
    /// Routes of hosts, routes, hosts, neither.
    level: u8,
    /// The length of the host pattern; exact names go before all patterns.
    host: usize,
    /// Of the namespace, not of the mesh.
    own: bool,
}

/// A route and where it stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The full name.
    host: &'a str,
    namespace: &'a str,
    route: &'a Route,
}

/// What became of the policies, for the findings at the end.
#[derive(Default)]
struct Tally {
    /// Those that select a route, by position.
    selecting: BTreeSet<usize>,
    /// Those that are in force on a route.
    winning: BTreeSet<usize>,
    /// Those of which something was said already.
    told: BTreeSet<(usize, usize)>,
    /// By policy and position of the clock: the first route whose timeout makes it void, and how many more.
    void: BTreeMap<(usize, usize), (String, usize)>,
    /// By policy and position of the target: the first route that it would lead back to, if any, and whether it leads
    /// elsewhere for another.
    targets: BTreeMap<(usize, usize), (Option<String>, bool)>,
}

/// Policies that were linked for the same clusters before.
type Linked = BTreeMap<(usize, Vec<Arc<str>>), model::llm::Shared>;

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
            let of_route = |route: &Route| {
                let Action::Forward(forward) = &route.action else {
                    return None;
                };
                let place = Place {
                    host: &name,
                    namespace: &namespace,
                    route,
                };
                let winner = self.winner(policies, place, &mut tally)?;
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
    fn winner(&self, policies: &[LlmPolicy], at: Place<'_>, tally: &mut Tally) -> Option<usize> {
        let ranks = policies.iter().enumerate();
        let ranks: Vec<_> = ranks.filter_map(|(i, p)| Some((i, rank(p, at)?))).collect();
        tally
            .selecting
            .extend(ranks.iter().map(|(index, _)| *index));
        let best = ranks.iter().map(|(_, rank)| *rank).max()?;
        let (winner, _) = *ranks.iter().find(|(_, rank)| *rank == best)?;
        tally.winning.insert(winner);
        for (loser, rank) in ranks {
            let overlaid = best.overlay && !rank.overlay;
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
            let hint = "it comes back when the overlay is removed";
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
        let mut clusters: Vec<_> = Vec::new();
        if !policy.targets.is_empty() {
            clusters.extend(forward.destinations.iter().map(|d| Arc::clone(&d.cluster)));
            clusters.sort();
            clusters.dedup();
        }
        let own = Own::of(&clusters);
        let mut model = policy.model.clone();
        for (position, target) in policy.targets.iter().enumerate() {
            let Some(resolved) = self.target(target, &own, &at.to_string()) else {
                continue;
            };
            let (back, elsewhere) = tally.targets.entry((index, position)).or_default();
            if own.is_back(&resolved) {
                back.get_or_insert_with(|| at.to_string());
            } else {
                *elsewhere = true;
                model.fallback.targets.push(resolved);
            }
        }
        let shared = linked.entry((index, clusters));
        Arc::clone(shared.or_insert_with(|| Arc::new(model)))
    }

    /// What is to be said of a policy as a whole.
    fn check_policy(&self, index: usize, policy: &LlmPolicy, hosts: &[VirtualHost], tally: &Tally) {
        self.check_selectors(policy, hosts);
        self.check_credentials(policy);
        tally.check_use(index, policy, self);
        for (position, (name, limit, place)) in policy.clocks.iter().enumerate() {
            if let Some((first, more)) = tally.void.get(&(index, position)) {
                let message = format!(
                    "`{name}` of {limit:?} is not shorter than the timeout of {first}{}: the timeout ends the request first",
                    and_more(*more)
                );
                let hint = "make it shorter than the route's `timeout`";
                let rule = "llm-timeout-without-effect";
                self.report.warn(place, rule, message, hint);
            }
        }
        for (position, target) in policy.targets.iter().enumerate() {
            let Some((Some(first), elsewhere)) = tally.targets.get(&(index, position)) else {
                continue;
            };
            let message = format!("this is where {first} leads already");
            let rule = "fallback-to-itself";
            if *elsewhere {
                let hint = "it is left out there";
                self.report.note(&target.place, rule, message, hint);
            } else {
                let hint = "name another subset, host, model or credential";
                self.report.error(&target.place, rule, message, hint);
            }
        }
    }

    /// Hosts and routes by names that nothing has.
    fn check_selectors(&self, policy: &LlmPolicy, hosts: &[VirtualHost]) {
        for (host, place) in policy.hosts.iter().flatten() {
            let served = hosts.iter().any(|h| h.domains.first() == Some(host));
            if !served && !host.starts_with('*') {
                self.known_host(host, place);
            }
        }
        if self.incomplete {
            return;
        }
        for (wanted, place) in policy.routes.iter().flatten() {
            let all = || hosts.iter().flat_map(|host| &host.routes);
            if all().any(|route| is_named(route, wanted)) {
                continue;
            }
            let hint = nearest(wanted, all().map(|route| &*route.name)).map_or_else(
                || "the `name` of a rule in a VirtualService".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let message = format!("no route is called {wanted:?}");
            self.report.warn(place, "unknown-route", message, hint);
        }
    }

    fn check_credentials(&self, policy: &LlmPolicy) {
        let Some(can_be_read) = self.options.credentials else {
            return;
        };
        use crate::layers::fallback::Credential;
        for (credential, place) in policy.targets.iter().flat_map(|t| &t.credential) {
            if can_be_read(credential) {
                continue;
            }
            let what = match credential {
                Credential::Env(name) => format!("the environment variable {name} is not set"),
                Credential::File(path) => format!("{} cannot be read", path.display()),
            };
            let message = format!("{what} here: without its key the target is passed over");
            let hint = "set it where `llmesh run` is started";
            self.report.warn(place, "credential-missing", message, hint);
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Clocks that the route's timeout goes before.
    fn note_clocks(
        &mut self,
        index: usize,
        policies: &[LlmPolicy],
        at: Place<'_>,
        forward: &Forward,
    ) {
        let Some(timeout) = forward.deadline.timeout else {
            return;
        };
        for (position, (_, limit, _)) in policies[index].clocks.iter().enumerate() {
            if *limit >= timeout {
                self.void
                    .entry((index, position))
                    .and_modify(|(_, more)| *more += 1)
                    .or_insert_with(|| (format!("{at} ({timeout:?})"), 0));
            }
        }
    }

    /// A policy that is in force nowhere.
    fn check_use(&self, index: usize, policy: &LlmPolicy, linker: &Linker<'_>) {
        let told = self.told.iter().any(|(_, loser)| *loser == index);
        if self.winning.contains(&index) || told || linker.incomplete {
            return;
        }
        let nothing = linker.registry.services.is_empty();
        let (message, hint) = if self.selecting.contains(&index) {
            (
                "it is in force nowhere: each route that it selects has a more specific policy",
                "remove it, or name the routes that it is for",
            )
        } else {
            (
                "it selects no route",
                "check `hosts` and `routes`; without both it is for the hosts of its namespace",
            )
        };
        let severity = if nothing {
            Severity::Note
        } else {
            Severity::Warning
        };
        let rule = "llm-policy-unused";
        linker
            .report
            .add(&policy.place, severity, rule, message, hint);
    }
}

// === impl Place ===

impl std::fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "route {:?} of {}", &*self.route.name, self.host)
    }
}

/// How specific a policy is for a route; `None` if it is not for it.
fn rank(policy: &LlmPolicy, at: Place<'_>) -> Option<Rank> {
    let of_namespace = policy.origin.namespace == at.namespace;
    let host = match &policy.hosts {
        Some(hosts) => hosts
            .iter()
            .filter(|(pattern, _)| names::covers(pattern, at.host))
            .map(|(pattern, _)| {
                if pattern.starts_with('*') {
                    pattern.len()
                } else {
                    usize::MAX
                }
            })
            .max()?,
        None if of_namespace || policy.origin.namespace == ROOT_NAMESPACE => 0,
        None => return None,
    };
    if let Some(routes) = &policy.routes
        && !routes.iter().any(|(name, _)| is_named(at.route, name))
    {
        return None;
    }
    Some(Rank {
        overlay: policy.origin.overlay,
        level: 2 * u8::from(policy.routes.is_some()) + u8::from(policy.hosts.is_some()),
        host,
        own: policy.hosts.is_some() || of_namespace,
    })
}

/// Whether a route has a name: its own, or that of the rule whose named alternative it is.
fn is_named(route: &Route, name: &str) -> bool {
    route
        .name
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn and_more(more: usize) -> String {
    if more == 0 {
        String::new()
    } else {
        format!(" and of {more} more")
    }
}
