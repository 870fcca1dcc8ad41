//! Resources to the model: names to hosts, clusters and endpoints.

mod aliases;
mod clusters;
mod endpoints;
mod explain;
mod fallback;
mod findings;
mod hosts;
mod own;
mod policies;
mod registry;
mod routes;
mod rules;
mod secrets;
mod spoken;
mod tls;
mod withheld;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use self::{explain::Hidden, registry::Registry, rules::Rules};
use super::{
    Options,
    diagnostic::{Origin, Place, Report, Severity},
    guard::Guard,
    istio::destination_rule::DestinationRule,
    resource::Resources,
    secrets::Secret,
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
    all_rules: &'a [DestinationRule],
    /// Hosts that a rule which was left out asks TLS for.
    guards: &'a [Guard],
    /// Secret objects, by `namespace/name`.
    secrets: &'a BTreeMap<String, Secret>,
    /// Those that a cluster needs.
    used_secrets: RefCell<BTreeSet<String>>,
    /// Clusters that are spoken to in plain text although they wait for TLS, and where that is said.
    exposed: RefCell<BTreeMap<Arc<str>, Place>>,
    /// What does not concern this caller.
    hidden: Hidden,
    /// Whether some document could not be read: missing names are then no news.
    incomplete: bool,
    /// Missing names already reported: once is enough.
    told: RefCell<HashSet<(String, String)>>,
}

/// Links everything. The model is meaningful only if nothing was reported as an error.
pub(super) fn link(
    resources: &mut Resources,
    options: &Options,
    default_retry: &retry::params::Params,
    report: &Report,
) -> Model {
    let namespace = caller_namespace(resources, options);
    let hidden = hide(resources, options, &namespace);
    let registry = Registry::build(resources, report);
    let rules = Rules::build(&resources.destination_rules, &namespace, report);
    let linker = Linker {
        options,
        report,
        default_retry,
        namespace,
        registry,
        rules,
        all_rules: &resources.destination_rules,
        guards: &resources.guards,
        secrets: &resources.secrets,
        used_secrets: RefCell::default(),
        exposed: RefCell::default(),
        hidden,
        incomplete: resources.incomplete,
        told: RefCell::default(),
    };
    linker.check_hidden();
    linker.check_rules(&resources.destination_rules);
    let clusters = linker.clusters();
    let mut virtual_hosts = linker.virtual_hosts(&resources.virtual_services);
    linker.policies(&resources.llm_policies, &mut virtual_hosts);
    linker.check_endpoints(&clusters, &virtual_hosts);
    linker.check_exposed(&clusters, &virtual_hosts);
    linker.check_keys(&resources.llm_policies, &clusters, &virtual_hosts);
    let used = linker.used_secrets.take().into_iter();
    let secrets = used.filter_map(|name| {
        let secret = resources.secrets.get(&name)?;
        Some((name, secret.values.clone()))
    });
    Model {
        secrets: secrets.collect(),
        clusters,
        virtual_hosts,
        ..Model::default()
    }
}

// === impl Linker ===

impl Linker<'_> {
    /// Whether a host is known; says so once if not: a note where nothing at all is loaded (a file checked alone), else a
    /// warning.
    fn known_host(&self, host: &str, place: &Place) -> bool {
        if self.registry.services.contains_key(host) {
            return true;
        }
        let severity = if self.registry.services.is_empty() {
            Severity::Note
        } else {
            Severity::Warning
        };
        let (why, hint) = self.instead_of(host);
        let message =
            format!("{host} is not known: no Service or ServiceEntry of that name is loaded{why}");
        self.missing((host, ""), place, (severity, "unknown-host"), message, hint);
        false
    }

    /// Says once that requests to a host that is not known go nowhere. `idle`: there are none.
    fn unreachable_host(&self, host: &str, place: &Place, idle: bool) {
        let (why, hint) = self.instead_of(host);
        let (severity, unserved) = routes::unserved(idle);
        let message = format!(
            "{host} is not known, so {unserved}: no Service or ServiceEntry of that name is loaded{why}"
        );
        let told = if idle { "idle" } else { "requests" };
        let rule = (severity, "unknown-host");
        self.missing((host, told), place, rule, message, hint);
    }

    /// Reports a missing name, once, unless something could not be read: it may be defined there.
    fn missing(
        &self,
        (host, what): (&str, &str),
        place: &Place,
        (severity, rule): (Severity, &'static str),
        message: String,
        hint: String,
    ) {
        let new = !self.incomplete
            && self
                .told
                .borrow_mut()
                .insert((host.to_owned(), what.to_owned()));
        if new {
            self.report.add(place, severity, rule, message, hint);
        }
    }
}

/// Takes out what does not concern callers in a namespace.
fn hide(resources: &mut Resources, options: &Options, namespace: &str) -> Hidden {
    let mut hidden = Hidden::default();
    resources.virtual_services.retain(|service| service.mesh);
    hidden.virtual_services = resources
        .virtual_services
        .extract_if(.., |vs| !visible(&vs.export_to, &vs.origin, namespace))
        .collect();
    let entries = resources.service_entries.extract_if(.., |entry| {
        !visible(&entry.export_to, &entry.origin, namespace)
    });
    hidden.services = entries.flat_map(|entry| entry.hosts).collect();
    let rules = std::mem::take(&mut resources.destination_rules);
    for rule in rules {
        let chosen = rule
            .clients
            .as_ref()
            .is_none_or(|labels| contains(&options.workload_labels, labels));
        if !visible(&rule.export_to, &rule.origin, namespace) {
            hidden.rules.push((rule, explain::NOT_EXPORTED));
        } else if chosen {
            resources.destination_rules.push(rule);
        } else {
            hidden.rules.push((rule, explain::NOT_SELECTED));
        }
    }
    hidden
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
