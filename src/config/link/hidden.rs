//! What does not concern this caller.

use super::labels::contains;
use crate::config::{
    diagnostic::{Origin, Place},
    istio::{destination_rule::DestinationRule, virtual_service::VirtualService},
    options::Options,
    reader::Resources,
};

/// Resources that do not concern this caller, and why.
#[derive(Default)]
pub(super) struct Hidden {
    /// Hosts of services.
    pub(super) services: Vec<(String, Place)>,
    pub(super) rules: Vec<(DestinationRule, &'static str)>,
    pub(super) virtual_services: Vec<VirtualService>,
}

/// Why a caller in this namespace does not see a resource.
pub(super) const NOT_EXPORTED: &str = "its `exportTo` does not show it to this namespace";
/// Why a caller with these labels does not get a rule.
pub(super) const NOT_SELECTED: &str =
    "its `workloadSelector` asks for labels that this workload does not have";

/// Takes out what does not concern callers in a namespace.
pub(super) fn hide(resources: &mut Resources, options: &Options, namespace: &str) -> Hidden {
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
            hidden.rules.push((rule, NOT_EXPORTED));
        } else if chosen {
            resources.destination_rules.push(rule);
        } else {
            hidden.rules.push((rule, NOT_SELECTED));
        }
    }
    hidden
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
