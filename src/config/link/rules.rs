//! Which DestinationRule a host gets.

use std::collections::{BTreeMap, HashMap};

use crate::config::{
    diagnostic::Report,
    istio::{
        destination_rule::{DestinationRule, Subset},
        traffic_policy::TrafficPolicy,
    },
    names,
};

/// The namespace whose rules hold for the whole mesh.
pub(in crate::config) const ROOT_NAMESPACE: &str = "istio-system";

/// DestinationRules, merged by namespace and host.
pub(in crate::config) struct Rules<'a> {
    spaces: HashMap<&'a str, Space<'a>>,
    namespace: String,
}

/// The rules of one namespace.
#[derive(Default)]
struct Space<'a> {
    exact: HashMap<&'a str, Merged<'a>>,
    /// The longest pattern first.
    wildcard: Vec<(&'a str, Merged<'a>)>,
}

/// What the DestinationRules of one host say together.
pub(in crate::config) struct Merged<'a> {
    pub(in crate::config) first: &'a DestinationRule,
    /// The first top-level policy.
    pub(in crate::config) policy: Option<&'a TrafficPolicy>,
    /// The first subset of each name.
    pub(in crate::config) subsets: BTreeMap<&'a str, &'a Subset>,
}

// === impl Rules ===

impl<'a> Rules<'a> {
    /// Merges `rules`, which come in order of precedence.
    pub(in crate::config) fn build(
        rules: &'a [DestinationRule],
        namespace: &str,
        report: &Report,
    ) -> Self {
        let mut spaces: HashMap<&'a str, Space<'a>> = HashMap::new();
        for rule in rules {
            let space = spaces.entry(&rule.origin.namespace).or_default();
            let merged = space.exact.entry(&rule.host).or_insert_with(|| Merged {
                first: rule,
                policy: None,
                subsets: BTreeMap::new(),
            });
            merged.add(rule, report);
        }
        for space in spaces.values_mut() {
            let all = std::mem::take(&mut space.exact);
            for (host, merged) in all {
                if host.starts_with('*') {
                    space.wildcard.push((host, merged));
                } else {
                    space.exact.insert(host, merged);
                }
            }
            space
                .wildcard
                .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        }
        Self {
            spaces,
            namespace: namespace.to_owned(),
        }
    }

    /// The rules for a host: of the caller's namespace, else of the service's, else of the mesh.
    pub(in crate::config) fn of(&self, host: &str, service_namespace: &str) -> Option<&Merged<'a>> {
        self.seen_from(&self.namespace, host, service_namespace)
    }

    /// The rules for a host as callers in another namespace get them.
    pub(in crate::config) fn seen_from(
        &self,
        caller: &str,
        host: &str,
        service_namespace: &str,
    ) -> Option<&Merged<'a>> {
        [caller, service_namespace, ROOT_NAMESPACE]
            .into_iter()
            .find_map(|namespace| {
                let space = self.spaces.get(namespace)?;
                let wild = || {
                    let mut patterns = space.wildcard.iter();
                    patterns.find(|(pattern, _)| names::covers(pattern, host))
                };
                let exact = space.exact.get(host);
                exact.or_else(|| wild().map(|(_, merged)| merged))
            })
    }
}

// === impl Merged ===

impl<'a> Merged<'a> {
    /// Whether a rule is one of them.
    pub(in crate::config) fn is_of(&self, rule: &DestinationRule) -> bool {
        self.first.origin.namespace == rule.origin.namespace && self.first.host == rule.host
    }

    fn add(&mut self, rule: &'a DestinationRule, report: &Report) {
        match (&rule.policy, self.policy) {
            (Some(policy), None) => self.policy = Some(policy),
            // A higher layer is meant to win.
            (Some(_), Some(_)) if self.first.origin.layer > rule.origin.layer => {}
            (Some(_), Some(_)) => {
                let message = format!(
                    "{} already has a `trafficPolicy`; this one is not used, its subsets are added",
                    self.first.place
                );
                let hint = "keep one DestinationRule for a host";
                report.warn(&rule.place, "destination-rule-conflict", message, hint);
            }
            (None, _) => {}
        }
        for subset in &rule.subsets {
            self.subsets.entry(&subset.name).or_insert(subset);
        }
    }
}
