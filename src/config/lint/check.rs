//! A rule and how it is looked for.

use super::{mesh::Mesh, rule::Rule};
use crate::config::diagnostic::{Place, Report};

/// A rule that is looked for in all resources together.
pub(super) struct Check {
    pub(super) rule: Rule,
    pub(super) run: fn(&Mesh<'_>, &Findings<'_>),
}

/// Takes a rule's findings.
pub(super) struct Findings<'r> {
    pub(super) rule: &'static Rule,
    pub(super) report: &'r Report,
}

// === impl Findings ===

impl Findings<'_> {
    pub(super) fn add(&self, place: &Place, message: impl Into<String>, hint: impl Into<String>) {
        let Self { rule, report } = self;
        report.add(place, rule.severity, rule.id, message, hint);
    }
}
