//! Findings that a resource's annotation says are known.

use std::collections::{BTreeMap, BTreeSet};

use super::{facts::Facts, registry};
use crate::config::{
    decode::nearest,
    diagnostic::{Diagnostic, Report, Severity},
};

/// What of which resource is not to be told.
#[derive(Debug, Default)]
pub(in crate::config) struct Ignore {
    by_resource: BTreeMap<(usize, u32, String), BTreeSet<String>>,
}

// === impl Ignore ===

impl Ignore {
    pub(in crate::config) fn of(facts: &Facts, report: &Report) -> Self {
        let mut by_resource: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for ignored in &facts.ignored {
            let origin = &ignored.place.origin;
            let key = (origin.order, origin.document, origin.resource());
            let rules = by_resource.entry(key).or_default();
            for name in &ignored.rules {
                rules.insert(name.clone());
                if name == "all" || registry::find(name).is_some() {
                    continue;
                }
                let near = nearest(name, registry::all().map(|rule| rule.id));
                let hint = near.map_or_else(
                    || "the names that findings have in brackets".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                let message = format!("no rule is called {name:?}");
                report.warn(&ignored.place, "unknown-annotation", message, hint);
            }
        }
        Self { by_resource }
    }

    /// Whether a finding is not to be told. An error always is.
    pub(in crate::config) fn has(&self, finding: &Diagnostic) -> bool {
        let key = (finding.order, finding.document, finding.resource.clone());
        finding.severity != Severity::Error
            && self
                .by_resource
                .get(&key)
                .is_some_and(|rules| rules.contains("all") || rules.contains(finding.rule))
    }
}
