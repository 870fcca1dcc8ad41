//! Hosts and subsets that have no endpoint.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{Linker, hosts::http_ports, registry::Known};
use crate::{
    config::diagnostic::Severity,
    layers::route::params::Action,
    model::{Cluster, Discovery, VirtualHost},
};

const HINT: &str = "load a ServiceEntry with endpoints, WorkloadEntries or EndpointSlices";

/// What of a cluster matters here.
struct Named<'a> {
    subset: &'a str,
    /// Whether a route or fallback leads to it.
    used: bool,
    empty: bool,
}

// === impl Linker ===

impl Linker<'_> {
    /// Reports what can only be answered 503.
    pub(super) fn check_endpoints(
        &self,
        clusters: &BTreeMap<Arc<str>, Cluster>,
        hosts: &[VirtualHost],
    ) {
        if self.incomplete {
            return;
        }
        let used = used(hosts);
        let mut by_host: HashMap<&str, Vec<Named<'_>>> = HashMap::new();
        for (name, cluster) in clusters {
            let all = by_host.entry(&cluster.name.host).or_default();
            all.push(Named {
                subset: &cluster.name.subset,
                used: used.contains(&**name),
                empty: matches!(&cluster.discovery, Discovery::Static(all) if all.is_empty()),
            });
        }
        for (host, known) in &self.registry.services {
            let all = by_host.get(host.as_str()).map_or(&[][..], Vec::as_slice);
            let called = all.iter().any(|cluster| cluster.used);
            let mut whole = all
                .iter()
                .filter(|cluster| cluster.subset.is_empty())
                .peekable();
            if whole.peek().is_none() || (http_ports(known).is_empty() && !called) {
                continue;
            }
            if whole.all(|cluster| cluster.empty) {
                let message =
                    format!("no address of {host} is known: its requests are answered 503 (UH)");
                self.report
                    .warn(&known.place, "no-endpoints", message, HINT);
            } else {
                self.check_subsets(host, known, all);
            }
        }
    }

    /// Subsets of a host that has endpoints.
    fn check_subsets(&self, host: &str, known: &Known, all: &[Named<'_>]) {
        let merged = self.rules.of(host, &known.namespace);
        for subset in merged.iter().flat_map(|merged| merged.subsets.values()) {
            let mut own = all
                .iter()
                .filter(|cluster| cluster.subset == subset.name)
                .peekable();
            if own.peek().is_none() || !own.clone().all(|cluster| cluster.empty) {
                continue;
            }
            let severity = if own.any(|cluster| cluster.used) {
                Severity::Warning
            } else {
                Severity::Note
            };
            let message = format!(
                "no known endpoint of {host} carries the labels of `{}`: its requests are answered 503 (UH)",
                subset.name
            );
            self.report
                .add(&subset.place, severity, "no-endpoints", message, HINT);
        }
    }
}

/// The clusters that routes and fallbacks lead to.
fn used(hosts: &[VirtualHost]) -> BTreeSet<&str> {
    let mut used = BTreeSet::new();
    for host in hosts {
        for route in &host.routes {
            if let Action::Forward(forward) = &route.action {
                used.extend(forward.destinations.iter().map(|to| &*to.cluster));
            }
        }
        let targets = host
            .llm
            .iter()
            .flatten()
            .flat_map(|llm| &llm.fallback.targets);
        used.extend(targets.map(|target| &*target.cluster));
    }
    used
}
