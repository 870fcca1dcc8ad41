//! Keys of LlmPolicies on their way: those that would not be sent, would go astray, or are overwritten.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use super::{Linker, tls::stays_here};
use crate::{
    config::llm_policy::LlmPolicy,
    layers::route::{
        params::{Action, Forward, Route},
        rewrite::key_headers,
    },
    model::{self, Cluster, VirtualHost},
};

/// A route under a policy, as it is in force there.
type Governed<'a> = (
    &'a VirtualHost,
    &'a Route,
    &'a Forward,
    &'a model::LlmPolicy,
);

// === impl Linker ===

impl Linker<'_> {
    /// What is to be said of each policy's keys.
    pub(super) fn check_keys(
        &self,
        policies: &[LlmPolicy],
        clusters: &BTreeMap<Arc<str>, Cluster>,
        hosts: &[VirtualHost],
    ) {
        for policy in policies {
            let routes: Vec<_> = hosts
                .iter()
                .flat_map(|host| governed(host, policy))
                .collect();
            self.check_withheld(policy, clusters, &routes);
            self.check_astray(policy, &routes);
            self.check_overwritten(policy, &routes);
        }
    }

    /// Keys that the proxy will keep back, since they would leave in plain text.
    fn check_withheld(
        &self,
        policy: &LlmPolicy,
        clusters: &BTreeMap<Arc<str>, Cluster>,
        routes: &[Governed<'_>],
    ) {
        if policy.model.plaintext {
            return;
        }
        let in_clear = |name: &&Arc<str>| {
            let cluster = clusters.get(*name);
            cluster.is_some_and(|c| c.tls.is_none() && !stays_here(&c.discovery))
        };
        let mut kept: BTreeSet<String> = BTreeSet::new();
        for (_, _, forward, policy) in routes {
            let own = forward.destinations.iter().map(|to| &to.cluster);
            let own = own.filter(|_| has_own_key(policy));
            let targets = policy.fallback.targets.iter();
            let targets = targets
                .filter(|to| to.credential.is_some())
                .map(|to| &to.cluster);
            let names = own.chain(targets).filter(in_clear);
            kept.extend(names.filter_map(|name| Some(clusters.get(name)?.name.to_string())));
        }
        let Some(first) = kept.first() else { return };
        let message = format!(
            "its keys are not sent to {}{}, which is spoken to without TLS: such requests are answered 503",
            host_of(first),
            more(kept.len())
        );
        let hint = "declare the port HTTPS, or allow plain text on a private network with `credentials: {plaintext: true}`";
        let rule = "key-without-tls";
        self.report.warn(&policy.place, rule, message, hint);
    }

    /// A key for hosts that nobody named.
    fn check_astray(&self, policy: &LlmPolicy, routes: &[Governed<'_>]) {
        if policy.hosts.is_some() || !has_own_key(&policy.model) {
            return;
        }
        let clusters = routes
            .iter()
            .flat_map(|(_, _, forward, _)| &forward.destinations);
        let hosts: BTreeSet<&str> = clusters.map(|to| host_of(&to.cluster)).collect();
        if hosts.len() < 2 {
            return;
        }
        let names: Vec<&str> = hosts.into_iter().collect();
        let message = format!(
            "its key goes to all hosts of the policy: {}",
            names.join(", ")
        );
        let hint = "name `hosts`, so that each key goes where it is meant for";
        let rule = "key-for-all-hosts";
        self.report.warn(&policy.place, rule, message, hint);
    }

    /// Keys of callers that a route overwrites before anybody looks at them.
    fn check_overwritten(&self, policy: &LlmPolicy, routes: &[Governed<'_>]) {
        if policy.model.callers.is_empty() {
            return;
        }
        for (host, route, forward, _) in routes {
            let all = 0..forward.destinations.len().max(1);
            let Some(header) = all.flat_map(|at| key_headers(forward, at)).next() else {
                continue;
            };
            let message = format!(
                "route {:?} of {} puts a key in `{header}` before the policy looks at the callers': one that comes there is lost",
                &*route.name, host.name
            );
            let hint =
                "name the key in the policy's `credential` in place of the route's `headers`";
            let rule = "caller-key-overwritten";
            self.report.warn(&policy.place, rule, message, hint);
            return;
        }
    }
}

/// The routes of a host on which a policy is in force.
fn governed<'a>(host: &'a VirtualHost, policy: &LlmPolicy) -> impl Iterator<Item = Governed<'a>> {
    let routes = host.routes.iter().zip(&host.llm);
    routes.filter_map(move |(route, shared)| {
        let shared = shared.as_deref()?;
        let Action::Forward(forward) = &route.action else {
            return None;
        };
        (shared.origin == policy.model.origin).then_some((host, route, &**forward, shared))
    })
}

fn has_own_key(policy: &model::LlmPolicy) -> bool {
    policy
        .credential
        .as_ref()
        .is_some_and(|own| own.credential.is_some())
}

/// The host of a cluster's name.
fn host_of(cluster: &str) -> &str {
    cluster.rsplit('|').next().unwrap_or(cluster)
}

fn more(all: usize) -> String {
    match all {
        0 | 1 => String::new(),
        all => format!(" and {} more", all - 1),
    }
}
