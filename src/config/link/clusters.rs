//! Services and DestinationRules to clusters: one for a port, and one more for each subset.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Linker,
    registry::Known,
    rules::{Merged, ROOT_NAMESPACE},
    tls::Towards,
};
use crate::{
    config::{
        guard::{Guard, Whom},
        istio::{
            client_tls::TlsBlock,
            destination_rule::{DestinationRule, Subset},
            outlier::OutlierBlock,
            pool::PoolBlock,
            service_entry::{PortProtocol, ServicePort},
            traffic_policy::{Balance, TrafficPolicy},
        },
        names,
    },
    layers::{balance::params::Params, retry::params::Budget},
    model::{Cluster, ClusterName, Discovery, Pool, Protocol},
};

/// The blocks that hold for one cluster.
#[derive(Default)]
pub(in crate::config) struct Effective<'a> {
    pub(in crate::config) balance: Option<&'a Balance>,
    pub(in crate::config) pool: Option<&'a PoolBlock>,
    pub(in crate::config) outlier: Option<&'a OutlierBlock>,
    pub(in crate::config) retry_budget: Option<Budget>,
    pub(in crate::config) tls: Option<&'a TlsBlock>,
}

// === impl Linker ===

impl Linker<'_> {
    pub(super) fn clusters(&self) -> BTreeMap<Arc<str>, Cluster> {
        let mut clusters = BTreeMap::new();
        let all = self.registry.services.iter();
        for (host, service) in all.filter(|(_, service)| service.alias_of.is_none()) {
            let merged = self.rules.of(host, &service.namespace);
            let guard = self.guard_of(host, service, merged);
            for (index, port) in service.ports.iter().enumerate() {
                let subsets = merged
                    .map(|m| m.subsets.values().copied())
                    .into_iter()
                    .flatten();
                for subset in std::iter::once(None).chain(subsets.map(Some)) {
                    let effective = effective(merged, subset, port.number);
                    let mut cluster = cluster(host, service, port, subset, &effective);
                    if let (None, Some(merged)) = (subset, merged) {
                        cluster.origin = merged.first.place.origin.id();
                    }
                    if index == 0 {
                        self.check_ejection(&cluster, &effective);
                    }
                    let to = Towards {
                        host,
                        service,
                        port,
                    };
                    cluster.tls = self.tls(&to, effective.tls);
                    // A block that is read, or the port itself, says what is spoken, whatever else is not read.
                    if let (Some(guard), None, None) = (guard, &cluster.tls, effective.tls) {
                        self.warn_guarded(guard, host);
                        continue;
                    }
                    cluster.plain_text = to.plain_text(effective.tls);
                    cluster.pool.protocol = protocol(&to, &cluster, effective.pool);
                    let name: Arc<str> = cluster.name.to_string().into();
                    if let (None, Some(block), true) =
                        (&cluster.tls, effective.tls, to.waits_for_tls())
                    {
                        let place = block.place.clone();
                        self.exposed.borrow_mut().insert(Arc::clone(&name), place);
                    }
                    clusters.insert(name, cluster);
                }
            }
        }
        clusters
    }

    /// Reports DestinationRules for hosts that are not known, or that are but names of others.
    pub(super) fn check_rules(&self, rules: &[DestinationRule]) {
        for rule in rules {
            if !rule.host.starts_with('*') {
                self.known_host(&rule.host, &rule.place);
            }
            let known = self.registry.services.get(&rule.host);
            if let Some(host) = known.and_then(|known| known.alias_of.as_ref()) {
                let message = format!(
                    "{} is another name (ExternalName) of {host}, whose rules hold: this one has no effect",
                    rule.host
                );
                let hint = format!("write it for {host}");
                self.report
                    .warn(&rule.place, "rule-for-alias", message, hint);
            }
            self.check_reach_of(rule);
        }
    }

    /// The rule that is not read, asks for TLS and would hold for a host: not one that was read in another place, nor one
    /// that a rule in force goes before.
    fn guard_of(&self, host: &str, service: &Known, merged: Option<&Merged<'_>>) -> Option<&Guard> {
        let spaces = [self.namespace.as_str(), &service.namespace, ROOT_NAMESPACE];
        let rank = |namespace: &str, of: &str| {
            let space = spaces.iter().position(|space| *space == namespace)?;
            let length = if of.starts_with('*') {
                of.len()
            } else {
                usize::MAX
            };
            Some((space, usize::MAX - length))
        };
        let in_force = merged.and_then(|m| rank(&m.first.origin.namespace, &m.first.host));
        self.guards.iter().find(|guard| {
            let origin = &guard.place.origin;
            match &guard.whom {
                Whom::Host(of) => {
                    let read = |rule: &DestinationRule| rule.origin.id() == origin.id();
                    let own = rank(&origin.namespace, of);
                    names::covers(of, host)
                        && own.is_some_and(|own| in_force.is_none_or(|rank| own <= rank))
                        && !self.all_rules.iter().any(read)
                }
                Whom::Patched => merged.is_some_and(|merged| {
                    self.all_rules.iter().any(|rule| {
                        let spaces = [rule.origin.namespace.as_str(), ""];
                        merged.is_of(rule)
                            && rule.origin.name == origin.name
                            && spaces.contains(&origin.namespace.as_str())
                    })
                }),
            }
        })
    }

    fn warn_guarded(&self, guard: &Guard, host: &str) {
        let message = format!(
            "this DestinationRule asks for TLS and is not read, so requests to {host} are answered 503 (NC) rather than sent in plain text"
        );
        let hint = "mend the rule, or use mode DISABLE where plain text is acceptable";
        self.report
            .warn(&guard.place, "tls-not-in-force", message, hint);
    }

    /// Says so where too few endpoints are known for any of them to be ejected.
    fn check_ejection(&self, cluster: &Cluster, effective: &Effective<'_>) {
        let (Some(block), Discovery::Static(endpoints)) = (effective.outlier, &cluster.discovery)
        else {
            return;
        };
        let (total, max) = (endpoints.len(), block.params.max_ejection_percent as usize);
        if total == 0 || max * total >= 100 {
            return;
        }
        let which = match cluster.name.subset.as_str() {
            "" => cluster.name.host.clone(),
            subset => format!("subset {subset} of {}", cluster.name.host),
        };
        let message = format!(
            "with maxEjectionPercent {max} and {total} endpoint(s), no endpoint of {which} can be ejected: the first would be {} %",
            100_usize.div_ceil(total)
        );
        if total == 1 {
            let hint = "there is nowhere else to send its requests";
            self.report
                .note(&block.place, "ejection-impossible", message, hint);
        } else {
            let hint = format!(
                "raise maxEjectionPercent to at least {}",
                100_usize.div_ceil(total)
            );
            self.report
                .warn(&block.place, "ejection-impossible", message, hint);
        }
    }
}

/// The blocks for a port: a subset's go before those of the whole rule, each as a whole.
pub(in crate::config) fn effective<'a>(
    merged: Option<&Merged<'a>>,
    subset: Option<&'a Subset>,
    port: u16,
) -> Effective<'a> {
    let top = merged.and_then(|m| m.policy).map(|p| at_port(p, port));
    let own = subset
        .and_then(|s| s.policy.as_ref())
        .map(|p| at_port(p, port));
    let (top, own) = (top.unwrap_or_default(), own.unwrap_or_default());
    Effective {
        balance: own.balance.or(top.balance),
        pool: own.pool.or(top.pool),
        outlier: own.outlier.or(top.outlier),
        retry_budget: own.retry_budget.or(top.retry_budget),
        tls: own.tls.or(top.tls),
    }
}

/// An entry for the port replaces together those blocks of the policy that an entry can have.
fn at_port(policy: &TrafficPolicy, port: u16) -> Effective<'_> {
    let entry = policy.ports.iter().find(|(number, _)| *number == port);
    let blocks = entry.map_or(policy, |(_, blocks)| blocks);
    Effective {
        balance: blocks.balance.as_ref(),
        pool: blocks.pool.as_ref(),
        outlier: blocks.outlier.as_ref(),
        retry_budget: policy.retry_budget,
        tls: blocks.tls.as_ref(),
    }
}

fn cluster(
    host: &str,
    service: &Known,
    port: &ServicePort,
    subset: Option<&Subset>,
    effective: &Effective<'_>,
) -> Cluster {
    let all = BTreeMap::new();
    let labels = subset.map_or(&all, |subset| &subset.labels);
    let name = ClusterName::new(port.number, subset.map_or("", |s| s.name.as_str()), host);
    let mut cluster = Cluster::new(name, service.discovery(port.number, labels));
    match effective.balance {
        Some(Balance::Policy(policy)) => cluster.balance = Params::new(policy.clone()),
        Some(Balance::Passthrough) => cluster.discovery = Discovery::Original,
        None => {}
    }
    if let Some(block) = effective.outlier {
        cluster.balance.panic_threshold = block.min_health_percent;
        cluster.outlier = Some(block.params.clone());
    }
    if effective.retry_budget.is_some() {
        cluster.retry_budget = effective.retry_budget;
    }
    cluster.pool = effective
        .pool
        .map_or_else(Pool::default, |block| block.pool.clone());
    cluster.namespace = service.namespace.as_str().into();
    // The DestinationRule that shapes it, where there is one.
    cluster.origin = subset.map_or_else(String::new, |subset| subset.place.origin.id());
    cluster
}

/// What is spoken to a cluster: what its `connectionPool` asks for, else what its port is declared as. On a port that waits
/// for TLS that is agreed upon in the handshake.
fn protocol(to: &Towards<'_>, cluster: &Cluster, pool: Option<&PoolBlock>) -> Protocol {
    if let Some(asked) = pool.and_then(|pool| pool.protocol) {
        return asked;
    }
    let negotiated = cluster.tls.is_some() && to.waits_for_tls();
    match to.port.protocol {
        PortProtocol::Http(Protocol::Http2) => Protocol::Http2,
        _ if negotiated && !pool.is_some_and(|pool| pool.keeps_http1) => Protocol::Negotiated,
        _ => Protocol::Http1,
    }
}
