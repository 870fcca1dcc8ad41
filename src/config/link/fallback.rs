//! Targets of a fallback to clusters.

use std::sync::Arc;

use super::{Linker, registry::Known};
use crate::{
    config::{decode::nearest, diagnostic, llm_policy::TargetRef},
    layers::fallback::Target,
    model::ClusterName,
};

/// Where a route leads by itself.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Own {
    clusters: Vec<ClusterName>,
    /// What a target without a host is a part of: the one host of all clusters, else the one that was called if it is
    /// among them.
    host: Option<String>,
}

// === impl Own ===

impl Own {
    /// From the names of its clusters, and the host that was called.
    pub(super) fn of(clusters: &[Arc<str>], called: &str) -> Self {
        let parts = |name: &Arc<str>| {
            let mut parts = name.splitn(4, '|').skip(1);
            let port = parts.next()?.parse().ok()?;
            Some(ClusterName::new(port, parts.next()?, parts.next()?))
        };
        let clusters: Vec<_> = clusters.iter().filter_map(parts).collect();
        let mut hosts = clusters.iter().map(|cluster| &cluster.host);
        let host = match hosts.next() {
            Some(first) if hosts.all(|host| host == first) => Some(first.clone()),
            _ => clusters
                .iter()
                .find(|cluster| cluster.host == called)
                .map(|cluster| cluster.host.clone()),
        };
        Self { clusters, host }
    }

    /// The host of a target that names none.
    pub(super) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port by which it reaches its host, if it is one.
    fn port(&self) -> Option<u16> {
        let of_host = |cluster: &&ClusterName| Some(&cluster.host) == self.host.as_ref();
        let mut ports = self.clusters.iter().filter(of_host).map(|c| c.port);
        let first = ports.next()?;
        ports.all(|port| port == first).then_some(first)
    }

    /// The subset, where it leads to one cluster.
    fn subset(&self) -> Option<&str> {
        match self.clusters.as_slice() {
            [only] => Some(&only.subset),
            _ => None,
        }
    }

    /// Whether a target is what failed before: the same cluster, asked for the same with the same key.
    pub(super) fn is_back(&self, target: &Target) -> bool {
        let [only] = self.clusters.as_slice() else {
            return false;
        };
        target.asks_the_same() && *target.cluster == *only.to_string()
    }
}

// === impl Linker ===

impl Linker<'_> {
    /// The cluster of a target. `None` if there is none, which has been reported then.
    pub(super) fn target(&self, target: &TargetRef, own: &Own, route: &str) -> Option<Target> {
        let host = match (&target.host, &own.host) {
            (Some((host, _)), _) => host.as_str(),
            (None, Some(own)) => own.as_str(),
            (None, None) => {
                let message = format!(
                    "{route} leads to several hosts, and none is named here: the target is left out"
                );
                self.report.warn(
                    &target.place,
                    "fallback-without-host",
                    message,
                    "add `host`",
                );
                return None;
            }
        };
        let Some((host, known)) = self.registry.concrete(host) else {
            self.unknown_target(target, host);
            return None;
        };
        let same_host = own.host.as_deref() == Some(host);
        let port = self.target_port(target, known, host, own)?;
        let subset = match (&target.subset, &target.host) {
            (Some((subset, place)), _) => {
                self.target_subset(host, known, subset, place)?;
                subset
            }
            (None, None) => own.subset().unwrap_or_default(),
            (None, Some(_)) => "",
        };
        let mut resolved = Target::new(ClusterName::new(port, subset, host).to_string());
        resolved.authority = (!same_host).then(|| host.into());
        resolved.path = target.path.as_deref().map(Into::into);
        resolved.model = target.model.as_deref().map(Into::into);
        resolved.credential = target.credential.as_ref().map(|(key, _)| key.clone());
        resolved.header = target.header;
        resolved.account = target.account.as_deref().map(Into::into);
        resolved.larger = target.larger;
        resolved.prefill = target.prefill;
        Some(resolved)
    }

    /// A warning, unless nothing at all is known or something could not be read. The route's own host was reported with
    /// the route.
    fn unknown_target(&self, target: &TargetRef, host: &str) {
        let Some((_, place)) = &target.host else {
            return;
        };
        if self.incomplete || self.registry.services.is_empty() {
            return;
        }
        let (why, hint) = self.instead_of(host);
        let message = format!(
            "{host} is not known, so the target is left out: no Service or ServiceEntry of that name is loaded{why}"
        );
        self.report
            .warn(place, "fallback-unknown-host", message, hint);
    }

    /// The port named, else the only one, else the route's own if the host has it.
    fn target_port(&self, target: &TargetRef, known: &Known, host: &str, own: &Own) -> Option<u16> {
        let has = |port: u16| known.ports.iter().any(|known| known.number == port);
        let (port, place) = match (&target.port, known.ports.as_slice(), own.port()) {
            (Some((port, place)), ..) => (Some(*port), place),
            (None, [only], _) => (Some(only.number), &target.place),
            (None, _, own) => (own, &target.place),
        };
        let found = port.filter(|port| has(*port));
        if found.is_none() {
            let all: Vec<_> = known.ports.iter().map(|p| p.number.to_string()).collect();
            let message = match port {
                Some(port) => format!("{host} has no port {port}: the target is left out"),
                None => format!(
                    "{host} has several ports, and none is named here: the target is left out"
                ),
            };
            let hint = format!("its ports are: {}", all.join(", "));
            self.report
                .warn(place, "fallback-unknown-port", message, hint);
        }
        found
    }

    fn target_subset(
        &self,
        host: &str,
        known: &Known,
        subset: &str,
        place: &diagnostic::Place,
    ) -> Option<()> {
        let merged = self.rules.of(host, &known.namespace);
        if merged.is_some_and(|merged| merged.subsets.contains_key(subset)) {
            return Some(());
        }
        if self.incomplete {
            return None;
        }
        let all: Vec<_> = merged
            .iter()
            .flat_map(|merged| merged.subsets.keys().copied())
            .collect();
        let hint = match nearest(subset, all.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => "load a DestinationRule for the host that has it".to_owned(),
            None => format!("its subsets are: {}", all.join(", ")),
        };
        let looked_at = self.rules_looked_at(host, &known.namespace, merged);
        let message = format!("{host} has no subset `{subset}`: the target is left out{looked_at}");
        self.report
            .warn(place, "fallback-unknown-subset", message, hint);
        None
    }
}
