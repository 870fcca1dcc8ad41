//! What kind of resource a document is, and which reader takes it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    decode::{Cx, Field, Object, nearest},
    diagnostic::{Origin, Place, Report},
    document::{self, Problem},
    istio::{
        check_read_only,
        destination_rule::{self, DestinationRule},
        service_entry::{self, ServiceEntry},
        virtual_service::{self, VirtualService},
        workload::{self, Workload},
    },
    k8s,
    llm_policy::{self, LlmPolicy},
    names,
};
use crate::layers::retry;

/// Everything that was read, by kind, in load order.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) virtual_services: Vec<VirtualService>,
    pub(super) destination_rules: Vec<DestinationRule>,
    pub(super) service_entries: Vec<ServiceEntry>,
    pub(super) workloads: Vec<Workload>,
    pub(super) services: Vec<k8s::Service>,
    pub(super) templates: Vec<k8s::PodTemplate>,
    pub(super) slices: Vec<k8s::Slice>,
    pub(super) llm_policies: Vec<LlmPolicy>,
    /// Namespaces that resources name.
    pub(super) namespaces: BTreeSet<String>,
    /// Where each resource was first given, by `Kind/namespace/name`.
    seen: HashMap<String, Place>,
    /// Whether some document could not be read at all, so that others may miss what it defines.
    pub(super) incomplete: bool,
}

/// What reading needs besides the text.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    pub(super) report: &'r Report,
    pub(super) namespace: &'r str,
    pub(super) default_retry: &'r retry::params::Params,
}

/// The versions of Istio's kinds that are in force.
const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];

/// Our own API group, and its versions.
const OWN: (&str, [&str; 1]) = ("llmesh.io", ["v1alpha1"]);

/// Kinds of Istio and our own by group, and whether llmesh puts them in force.
const GROUPS: [(&str, &[(&str, bool)]); 6] = [
    (OWN.0, &[("LlmPolicy", true), ("Rollout", false)]),
    (
        "networking.istio.io",
        &[
            ("VirtualService", true),
            ("DestinationRule", true),
            ("ServiceEntry", true),
            ("WorkloadEntry", true),
            ("Sidecar", false),
            ("Gateway", false),
            ("EnvoyFilter", false),
            ("WorkloadGroup", false),
            ("ProxyConfig", false),
        ],
    ),
    (
        "security.istio.io",
        &[
            ("PeerAuthentication", false),
            ("AuthorizationPolicy", false),
            ("RequestAuthentication", false),
        ],
    ),
    ("telemetry.istio.io", &[("Telemetry", false)]),
    ("extensions.istio.io", &[("WasmPlugin", false)]),
    ("install.istio.io", &[("IstioOperator", false)]),
];

// === impl Reader ===

impl Reader<'_> {
    /// Reads all documents of a file.
    pub(super) fn file(
        &self,
        order: usize,
        file: &Arc<str>,
        text: &str,
        overlay: bool,
        out: &mut Resources,
    ) {
        if text.len() > document::MAX_BYTES {
            let message = format!("the file is larger than {} bytes", document::MAX_BYTES);
            let place = Place::file(order, file);
            self.report
                .error(&place, "file-too-large", message, "split it");
            out.incomplete = true;
            return;
        }
        for document in document::parse(text) {
            let origin = Arc::new(Origin {
                order,
                file: Arc::clone(file),
                document: document.number,
                overlay,
                ..Origin::default()
            });
            for problem in &document.problems {
                self.problem(&origin, problem);
            }
            let Some(root) = document.root.as_ref() else {
                out.incomplete = true;
                continue;
            };
            let cx = Cx {
                report: self.report,
                origin,
            };
            self.document(Field::root(cx, root), out);
        }
    }

    fn problem(&self, origin: &Arc<Origin>, problem: &Problem) {
        let place = Place {
            origin: Arc::clone(origin),
            line: problem.line,
            column: problem.column,
            path: String::new(),
        };
        self.report
            .error(&place, problem.rule, problem.message.as_str(), problem.hint);
    }

    fn document(&self, field: Field<'_>, out: &mut Resources) {
        let version = field.peek_str(&["apiVersion"]);
        let kind = field.peek_str(&["kind"]);
        let (Some(version), Some(kind)) = (version, kind) else {
            self.nameless(&field);
            return;
        };
        if kind.ends_with("List")
            && let Some(items) = field.step("items")
        {
            for item in items.list() {
                self.document(item, out);
            }
            return;
        }
        let namespace = field.peek_str(&["metadata", "namespace"]);
        let outer = field.origin();
        let origin = Arc::new(Origin {
            order: outer.order,
            file: Arc::clone(&outer.file),
            document: outer.document,
            overlay: outer.overlay,
            kind: kind.to_owned(),
            namespace: namespace.unwrap_or(self.namespace).to_owned(),
            name: field
                .peek_str(&["metadata", "name"])
                .unwrap_or_default()
                .to_owned(),
        });
        let field = field.with_origin(origin);
        if !well_named(&field, kind) || self.repeated(&field, out) {
            return;
        }
        let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
        if GROUPS.iter().any(|(name, _)| *name == group) {
            self.known(&field, group, version, out);
        } else {
            kubernetes(&field, group, out);
        }
        if let Some(namespace) = namespace {
            out.namespaces.insert(namespace.to_owned());
        }
    }

    /// Whether a resource of this kind and name was read before: the first one wins, an overlay's before all others.
    fn repeated(&self, field: &Field<'_>, out: &mut Resources) -> bool {
        let origin = field.origin();
        if origin.name.is_empty() {
            return false;
        }
        let Some(first) = out.seen.get(&origin.id()) else {
            out.seen.insert(origin.id(), field.place());
            return false;
        };
        let message = format!("already given as {first}: this one has no effect");
        if first.origin.overlay && !origin.overlay {
            field.note(
                "resource-overlaid",
                message,
                "it comes back when the overlay is removed",
            );
        } else {
            field.warn(
                "duplicate-resource",
                message,
                "keep one of the two, or rename one",
            );
        }
        true
    }

    /// A document without `apiVersion` or `kind`.
    fn nameless(&self, field: &Field<'_>) {
        let missing = match (field.peek(&["apiVersion"]), field.peek(&["kind"])) {
            (None, None) => {
                field.warn(
                    "not-kubernetes",
                    "not a Kubernetes object: it has neither `apiVersion` nor `kind`, and is ignored",
                    "leave it out, or add both",
                );
                return;
            }
            (None, _) => "apiVersion",
            (_, None) => "kind",
            (Some(_), Some(_)) => {
                let message = "`apiVersion` and `kind` must be strings";
                field.error("wrong-type", message, "");
                return;
            }
        };
        let message = format!("`{missing}` is missing");
        let hint = "such as apiVersion: networking.istio.io/v1, kind: VirtualService";
        field.error("missing-field", message, hint);
    }

    /// A resource of a group that is known.
    fn known(&self, field: &Field<'_>, group: &str, version: &str, out: &mut Resources) {
        let origin = Arc::clone(field.origin());
        let kind = origin.kind.as_str();
        let all = GROUPS.iter().filter(|(name, _)| *name == group);
        let mut all = all.flat_map(|(_, kinds)| *kinds);
        let Some((_, in_force)) = all.clone().find(|(name, _)| *name == kind) else {
            if misplaced(field, kind) {
                return;
            }
            let place = field.step("kind").unwrap_or_else(|| field.clone());
            let hint = nearest(kind, all.by_ref().map(|(name, _)| *name))
                .map(|near| format!("did you mean {near}?"))
                .unwrap_or_default();
            let message = format!("{kind:?} is no kind of this API group that is known here");
            place.error("unsupported-kind", message, hint);
            return;
        };
        if !in_force {
            not_in_force(field, kind, group);
            return;
        }
        let (versions, hint): (&[&str], _) = if group == OWN.0 {
            (&OWN.1, "v1alpha1")
        } else {
            (&VERSIONS, "v1, v1beta1 or v1alpha3")
        };
        if !versions.contains(&version) {
            let place = field.step("apiVersion").unwrap_or_else(|| field.clone());
            let message = format!("{version:?} is no version of {group}");
            place.error("unsupported-version", message, hint);
            return;
        }
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

fn not_in_force(field: &Field<'_>, kind: &str, group: &str) {
    check_read_only(field, kind);
    let whose = if group == OWN.0 { "llmesh" } else { "Istio" };
    let message =
        format!("{kind} is a valid {whose} kind, but not in force in llmesh: it is ignored");
    field.warn("not-in-force", message, "");
}

/// Reports a kind that is in force under another API group.
fn misplaced(field: &Field<'_>, kind: &str) -> bool {
    let belongs = |(_, kinds): &&(&str, &[(&str, bool)])| {
        let mut kinds = kinds.iter();
        kinds.any(|(name, in_force)| *in_force && *name == kind)
    };
    let Some((group, _)) = GROUPS.iter().find(belongs) else {
        return false;
    };
    let place = field.step("apiVersion").unwrap_or_else(|| field.clone());
    let version = if *group == OWN.0 {
        OWN.1[0]
    } else {
        VERSIONS[0]
    };
    let message = format!("{kind} belongs to the API group {group}");
    let hint = format!("apiVersion: {group}/{version}");
    place.error("unsupported-version", message, hint);
    true
}

fn kubernetes(field: &Field<'_>, group: &str, out: &mut Resources) {
    let kind = field.origin().kind.clone();
    if misplaced(field, &kind) {
        return;
    }
    let Some(root) = field.object() else { return };
    let root = root.lenient();
    match (group, kind.as_str()) {
        ("", "Service") => out.services.extend(k8s::service(&root)),
        ("", "Pod") => {
            out.templates.push(k8s::pod(&root));
            let hint = "annotations for a sidecar have no effect without one";
            field.note(
                "ignored-kind",
                "of a Pod only labels and service account are read",
                hint,
            );
        }
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
            out.templates.extend(k8s::template(&root));
        }
        ("discovery.k8s.io", "EndpointSlice") => out.slices.push(k8s::slice(&root)),
        ("gateway.networking.k8s.io", _) => {
            let message = format!("{kind} is not in force in llmesh: it is ignored");
            field.warn("not-in-force", message, "");
        }
        _ => field.note(
            "ignored-kind",
            format!("{kind} says nothing about traffic: it is ignored"),
            "",
        ),
    }
}
