//! Reads one resource, by its class and kind.

use super::{
    decode::{Field, Object},
    istio::{
        check_annotations, check_read_only, destination_rule, service_entry, virtual_service,
        workload,
    },
    k8s,
    kinds::{self, Class},
    llm_policy, names,
    reader::{Reader, Resources},
    secrets,
};

// === impl Reader ===

impl Reader<'_> {
    /// Reads what a resource of a kind says.
    pub(super) fn read(
        &self,
        (field, (group, version)): (&Field<'_>, (&str, &str)),
        all: &Resources,
        out: &mut Resources,
    ) -> Option<Class> {
        let kind = field.origin().kind.as_str();
        let class = kinds::class(field, group, kind)?;
        if kinds::is_known_group(&format!("{group}/")) {
            check_annotations(field, kind);
        }
        match class {
            Class::Other if (group, kind) == ("", "Secret") => {
                let origin = field.origin();
                let name = format!("{}/{}", origin.namespace, origin.name);
                out.secrets.insert(name, secrets::read(field));
            }
            Class::Other => field.note(
                "ignored-kind",
                format!("{kind} says nothing about traffic: it is ignored"),
                "",
            ),
            Class::NotInForce => {
                if kinds::is_known_group(&format!("{group}/")) {
                    check_read_only(field, kind);
                }
                let ours = group == "security.istio.io";
                if !(ours && out.security.read(field, kind, &all.security)) {
                    kinds::not_in_force(field, kind, group);
                }
            }
            Class::Mesh | Class::Topology => {
                if !well_named(field, kind) || repeated(field, all) {
                    return None;
                }
                if class == Class::Topology {
                    topology(field, kind, out);
                } else if kinds::is_version(field, group, version) {
                    self.mesh(field, kind, out);
                }
            }
            Class::Workload => pods(field, kind, out),
        }
        Some(class)
    }

    /// A kind that is in force.
    fn mesh(&self, field: &Field<'_>, kind: &str, out: &mut Resources) {
        let Some(root) = field.object() else { return };
        metadata(&root);
        for name in ["apiVersion", "kind", "status"] {
            root.raw(name);
        }
        let Some(spec) = root.require("spec").and_then(|spec| spec.object()) else {
            return;
        };
        match kind {
            "VirtualService" => out
                .virtual_services
                .push(virtual_service::read(&spec, self.default_retry)),
            "DestinationRule" => out.destination_rules.extend(destination_rule::read(&spec)),
            "ServiceEntry" => out.service_entries.push(service_entry::read(&spec)),
            "LlmPolicy" => out.llm_policies.push(llm_policy::read(&spec)),
            _ => out.workloads.extend(workload::read(&spec)),
        }
    }
}

/// Says why a VirtualService has no effect on calls between services.
pub(super) fn off_mesh(field: &Field<'_>, own: &Resources) {
    let delegate = own.virtual_services.iter().any(|service| service.delegate);
    let (message, hint) = if delegate {
        (
            "a VirtualService without hosts is a delegate, and delegates are not in force in llmesh: it is ignored",
            "",
        )
    } else {
        (
            "bound to gateways only: it has no effect on service-to-service traffic",
            "add `mesh` to `gateways` if it is meant for it",
        )
    };
    field.note("not-in-force", message, hint);
}

/// Checks the names that become parts of host names. No cluster would take a resource with others.
fn well_named(field: &Field<'_>, kind: &str) -> bool {
    let keys = ["namespace", "name"];
    let used = &keys[..if kind == "Service" { 2 } else { 1 }];
    let bad = used.iter().find_map(|key| {
        let text = field.peek_str(&["metadata", key])?;
        let place = field.step("metadata")?.step(key)?;
        (!names::is_dns_label(text)).then_some((place, text, key))
    });
    if let Some((place, text, key)) = &bad {
        place.error(
            "bad-name",
            format!("{text:?} is no {key}: it becomes a part of host names"),
            "letters, digits and `-`",
        );
    }
    bad.is_none()
}

/// Whether a resource of this kind and name was read before: the first one of the highest layer wins.
fn repeated(field: &Field<'_>, all: &Resources) -> bool {
    let origin = field.origin();
    let Some(first) = all.seen.get(&origin.id()) else {
        return false;
    };
    let message = format!("already given as {first}: this one has no effect");
    if first.origin.layer > origin.layer {
        let hint = first.origin.layer.hint();
        field.note("resource-overlaid", message, hint);
    } else {
        let hint = "keep one of the two, or rename one";
        field.warn("duplicate-resource", message, hint);
    }
    true
}

fn metadata(root: &Object<'_>) {
    let Some(metadata) = root.require("metadata").and_then(|m| m.object()) else {
        return;
    };
    let metadata = metadata.lenient();
    metadata.str("namespace");
    if let Some(name) = metadata.require("name") {
        name.str();
    }
}

fn topology(field: &Field<'_>, kind: &str, out: &mut Resources) {
    let Some(root) = field.object() else { return };
    let root = root.lenient();
    if kind == "Service" {
        out.services.extend(k8s::service(&root));
    } else {
        out.slices.push(k8s::slice(&root));
    }
}

fn pods(field: &Field<'_>, kind: &str, out: &mut Resources) {
    let Some(root) = field.object() else { return };
    let root = root.lenient();
    if kind == "Pod" {
        out.templates.push(k8s::pod(&root));
        let hint = "annotations for a sidecar have no effect without one";
        let message = "of a Pod only labels and service account are read";
        field.note("ignored-kind", message, hint);
    } else {
        out.templates.extend(k8s::template(&root));
    }
}
