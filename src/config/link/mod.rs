//! Resources to the model: names to hosts, clusters and endpoints.

mod clusters;
mod fallback;
mod findings;
mod hosts;
mod policies;
mod registry;
mod routes;
mod rules;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
};

use self::{registry::Registry, rules::Rules};
use super::{
    Options,
    diagnostic::{Origin, Place, Report, Severity},
    resource::Resources,
};
use crate::{layers::retry, model::Model};

/// What every step of linking needs.
struct Linker<'a> {
    options: &'a Options,
    report: &'a Report,
    default_retry: &'a retry::params::Params,
    /// The caller's namespace.
    namespace: String,
    registry: Registry,
    rules: Rules<'a>,
    /// Whether some document could not be read: missing names are then no news.
    incomplete: bool,
    /// Missing names already reported: once is enough.
    told: RefCell<HashSet<(String, String)>>,
}

/// Links everything. The model is meaningful only if nothing was reported as an error.
pub(super) fn link(
    mut resources: Resources,
    options: &Options,
    default_retry: &retry::params::Params,
    report: &Report,
) -> Model {
    let namespace = caller_namespace(&resources, options);
    resources
        .virtual_services
        .retain(|vs| vs.mesh && visible(&vs.export_to, &vs.origin, &namespace));
    resources
        .service_entries
        .retain(|entry| visible(&entry.export_to, &entry.origin, &namespace));
    resources.destination_rules.retain(|rule| {
        let chosen = rule
            .clients
            .as_ref()
            .is_none_or(|labels| contains(&options.workload_labels, labels));
        visible(&rule.export_to, &rule.origin, &namespace) && chosen
    });
    let registry = Registry::build(&resources, report);
    let rules = Rules::build(&resources.destination_rules, &namespace, report);
    let linker = Linker {
        options,
        report,
        default_retry,
        namespace,
        registry,
        rules,
        incomplete: resources.incomplete,
        told: RefCell::default(),
    };
    linker.check_rules(&resources.destination_rules);
    let clusters = linker.clusters();
    let mut virtual_hosts = linker.virtual_hosts(&resources.virtual_services);
    linker.policies(&resources.llm_policies, &mut virtual_hosts);
    Model {
        clusters,
        virtual_hosts,
        ..Model::default()
    }
}

// === impl Linker ===

impl Linker<'_> {
    /// Whether a host is known; says so once if not.
    fn known_host(&self, host: &str, place: &Place) -> bool {
        if self.registry.services.contains_key(host) {
            return true;
        }
        let message =
            format!("{host} is not known: no Service or ServiceEntry of that name is loaded");
        let hint = "load one, or check the spelling and the namespace";
        let nothing = self.registry.services.is_empty();
        self.missing((host, ""), place, "unknown-host", message, hint, nothing);
        false
    }

    /// Reports a missing name, once: a note where nothing of its kind is loaded (a file checked alone), else a warning.
    fn missing(
        &self,
        (host, subset): (&str, &str),
        place: &Place,
        rule: &'static str,
        message: String,
        hint: &str,
        nothing: bool,
    ) {
        let new = !self.incomplete
            && self
                .told
                .borrow_mut()
                .insert((host.to_owned(), subset.to_owned()));
        if new {
            let severity = if nothing {
                Severity::Note
            } else {
                Severity::Warning
            };
            self.report.add(place, severity, rule, message, hint);
        }
    }
}

/// The namespace given, else the one that all resources share, else `default`.
fn caller_namespace(resources: &Resources, options: &Options) -> String {
    let mut shared = resources.namespaces.iter();
    match (&options.namespace, shared.next(), shared.next()) {
        (Some(given), _, _) => given.clone(),
        (None, Some(only), None) => only.clone(),
        _ => "default".to_owned(),
    }
}

/// Whether `exportTo` shows a resource to callers in `namespace`.
fn visible(export_to: &[String], origin: &Origin, namespace: &str) -> bool {
    export_to.is_empty()
        || export_to.iter().any(|to| match to.as_str() {
            "*" => true,
            "." => origin.namespace == namespace,
            other => other == namespace,
        })
}

/// Whether `labels` has everything in `wanted`.
fn contains(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}
