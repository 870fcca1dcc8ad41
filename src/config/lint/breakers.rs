//! Every `outlierDetection` there is.

use super::mesh::Mesh;
use crate::config::istio::{
    destination_rule::{DestinationRule, Subset},
    outlier::OutlierBlock,
};

/// Each block, the rule it is of, and the subset if it is of one.
pub(super) fn blocks<'a>(
    mesh: &Mesh<'a>,
) -> Vec<(&'a DestinationRule, Option<&'a Subset>, &'a OutlierBlock)> {
    let mut all = Vec::new();
    for rule in &mesh.resources.destination_rules {
        let top = rule
            .policy
            .as_ref()
            .and_then(|policy| policy.outlier.as_ref());
        all.extend(top.map(|block| (rule, None, block)));
        for subset in &rule.subsets {
            let own = subset
                .policy
                .as_ref()
                .and_then(|policy| policy.outlier.as_ref());
            all.extend(own.map(|block| (rule, Some(subset), block)));
        }
    }
    all
}
