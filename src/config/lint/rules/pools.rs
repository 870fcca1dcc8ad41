//! DestinationRule: a subset's `connectionPool` takes the place of the top-level one.

use crate::config::{diagnostic::Report, istio::destination_rule::DestinationRule};

pub(in crate::config::lint) fn check(rule: &DestinationRule, report: &Report) {
    let Some(top) = rule.policy.as_ref().and_then(|policy| policy.pool.as_ref()) else {
        return;
    };
    for subset in &rule.subsets {
        let Some(own) = subset
            .policy
            .as_ref()
            .and_then(|policy| policy.pool.as_ref())
        else {
            continue;
        };
        let lost: Vec<_> = top
            .given
            .iter()
            .filter(|name| !own.given.contains(name))
            .map(String::as_str)
            .collect();
        if lost.is_empty() {
            continue;
        }
        report.warn(
            &own.place,
            "subset-pool-replaces",
            format!(
                "the subset's `connectionPool` replaces the top-level one as a whole; `{}` loses: {}",
                subset.name,
                lost.join(", ")
            ),
            "repeat in the subset what it is to keep",
        );
    }
}
