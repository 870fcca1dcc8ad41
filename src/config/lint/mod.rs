//! What is valid, but hardly meant.
//!
//! Some of it shows in one resource alone, and is told whenever that is loaded. The rest shows only when all resources are
//! looked at together: who calls whom, and what their timeouts, retries and breakers come to along the way. That is done
//! where it is asked for ([`Options::lint`](super::Options::lint)), and each of its rules is a file of [`rules`].

mod breakers;
mod call;
mod calls;
mod catalog;
mod chains;
mod check;
mod draw;
pub(super) mod facts;
mod filters;
mod graph;
mod ignore;
mod mesh;
mod picture;
mod registry;
mod rule;
mod rules;
mod said;
mod terms;

use self::{check::Findings, ignore::Ignore, mesh::Mesh};
pub use self::{
    graph::{Graph, GraphCall},
    registry::{all as rules, find as rule},
    rule::Rule,
};
use super::{
    diagnostic::{Diagnostic, Report, Severity},
    link::{registry::Registry, rules::Rules},
    reader::Resources,
};
use crate::layers::retry;

/// Notes of the loader that are warnings to who asks for the linter.
const RAISED: [&str; 1] = ["retriable-4xx"];

/// Checks that need one resource alone.
pub(super) fn resources(resources: &Resources, report: &Report) {
    for service in &resources.virtual_services {
        rules::routes::check(service, report);
    }
    for rule in &resources.destination_rules {
        rules::pools::check(rule, report);
    }
}

/// Checks that need all resources together; gives the call graph, and what is not to be told.
pub(super) fn mesh(
    resources: &Resources,
    default_retry: &retry::params::Params,
    report: &Report,
) -> (Graph, Ignore) {
    // What is wrong with services and rules themselves is told when they are linked.
    let quiet = Report::default();
    let registry = Registry::build(resources, &quiet);
    let rules = Rules::build(&resources.destination_rules, "", &quiet);
    let mesh = Mesh::new(resources, &registry, &rules, default_retry);
    let found = calls::find(&mesh);
    let mesh = mesh.with_calls(found);
    for check in registry::CHECKS {
        let rule = &check.rule;
        (check.run)(&mesh, &Findings { rule, report });
    }
    (picture::of(&mesh), Ignore::of(&resources.facts, report))
}

/// Raises what matters here, and leaves out what annotations say is known.
pub(super) fn settle(found: &mut Vec<Diagnostic>, ignore: &Ignore) {
    for finding in &mut *found {
        if RAISED.contains(&finding.rule) && finding.severity == Severity::Note {
            finding.severity = Severity::Warning;
        }
    }
    found.retain(|finding| !ignore.has(finding));
}
