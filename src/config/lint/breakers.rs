//! Every `outlierDetection` there is.

use super::mesh::Mesh;
use crate::config::istio::{
    destination_rule::{DestinationRule, Subset},
    outlier::OutlierBlock,
};

/// One of them.
pub(super) struct Breaker<'a> {
    /// The rule it is of.
    pub(super) rule: &'a DestinationRule,
    pub(super) block: &'a OutlierBlock,
    /// How many endpoints there are, of the subset if it is of one; `None`: that is not known.
    pub(super) endpoints: Option<u32>,
}

/// All of them.
pub(super) fn blocks<'a>(mesh: &Mesh<'a>) -> Vec<Breaker<'a>> {
    let breaker = |rule: &'a DestinationRule, subset: Option<&Subset>, block| {
        let known = mesh.registry.services.get(&rule.host);
        let labels = subset
            .map(|subset| subset.labels.clone())
            .unwrap_or_default();
        let endpoints =
            known.and_then(|known| mesh.replicas(&rule.host, &known.namespace, &labels));
        Breaker {
            rule,
            block,
            endpoints,
        }
    };
    let mut all = Vec::new();
    for rule in &mesh.resources.destination_rules {
        let top = rule
            .policy
            .as_ref()
            .and_then(|policy| policy.outlier.as_ref());
        all.extend(top.map(|block| breaker(rule, None, block)));
        for subset in &rule.subsets {
            let own = subset
                .policy
                .as_ref()
                .and_then(|policy| policy.outlier.as_ref());
            all.extend(own.map(|block| breaker(rule, Some(subset), block)));
        }
    }
    all
}
