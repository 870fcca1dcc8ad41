//! What is to be said of LlmPolicies once every route has its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Linker,
    place::{Place, is_named},
};
use crate::{
    config::{decode::nearest, diagnostic::Severity, llm_policy::LlmPolicy},
    layers::route::params::Forward,
    model::VirtualHost,
};

/// What became of the policies, for the findings at the end.
#[derive(Default)]
pub(super) struct Tally {
    /// Those that select a route, by position.
    pub(super) selecting: BTreeSet<usize>,
    /// Those that are in force on a route.
    pub(super) winning: BTreeSet<usize>,
    /// Those of which something was said already.
    pub(super) told: BTreeSet<(usize, usize)>,
    /// By policy and position of the clock: the first route whose timeout makes it void, and how many more.
    void: BTreeMap<(usize, usize), (String, usize)>,
    /// By policy and position of the target: the first route that it would lead back to, if any, and whether it leads
    /// elsewhere for another.
    pub(super) targets: BTreeMap<(usize, usize), (Option<String>, bool)>,
}

// === impl Linker ===

impl Linker<'_> {
    /// What is to be said of a policy as a whole.
    pub(super) fn check_policy(
        &self,
        index: usize,
        policy: &LlmPolicy,
        hosts: &[VirtualHost],
        tally: &Tally,
    ) {
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
                self.report.warn(&target.place, rule, message, hint);
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
        let Some(read) = self.options.credentials else {
            return;
        };
        for (credential, place, without) in &policy.keys {
            let Err(why) = read(credential) else { continue };
            let message = format!("{why}: without its key {without}");
            let hint = "it is read where `llmesh run` is started, and again at each reload";
            self.report.warn(place, "credential-missing", message, hint);
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Clocks that the route's timeout goes before.
    pub(super) fn note_clocks(
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
        // What cannot be read selects nothing, which has been said.
        let broken = |names: &Option<Vec<_>>| names.as_ref().is_some_and(Vec::is_empty);
        let broken = broken(&policy.hosts) || broken(&policy.routes);
        if self.winning.contains(&index) || told || broken || linker.incomplete {
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

fn and_more(more: usize) -> String {
    if more == 0 {
        String::new()
    } else {
        format!(" and of {more} more")
    }
}
