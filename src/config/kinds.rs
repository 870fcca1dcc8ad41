//! Which kinds there are, and what each is to the mesh.

pub(super) use super::groups::is_known_group;
use super::{
    decode::{Field, nearest},
    diagnostic::Severity,
    groups::{GROUPS, OWN, VERSIONS},
};

/// What a kind is to the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// In force.
    Mesh,
    /// A service or its addresses.
    Topology,
    /// Pods and what makes them: only labels and service account are read.
    Workload,
    /// Valid, and without effect here.
    NotInForce,
    /// Nothing to do with traffic between services.
    Other,
}

/// What a kind is; reports one that is misspelt or in the wrong place, and then gives nothing.
pub(super) fn class(field: &Field<'_>, group: &str, kind: &str) -> Option<Class> {
    let all = GROUPS.iter().find(|(name, _)| *name == group);
    if let Some((_, kinds)) = all {
        let known = kinds.iter().find(|(name, _)| *name == kind);
        return match known {
            Some((_, true)) => Some(Class::Mesh),
            Some((_, false)) => Some(Class::NotInForce),
            None => {
                if !misplaced(field, group, kind) {
                    unknown(field, kind, kinds);
                }
                None
            }
        };
    }
    if misplaced(field, group, kind) {
        return None;
    }
    Some(match kubernetes(group, kind) {
        Some(class) => class,
        None if group == "gateway.networking.k8s.io" => Class::NotInForce,
        None => Class::Other,
    })
}

/// Whether a kind is one of which more than its name is read.
pub(super) fn is_read(group: &str, kind: &str) -> bool {
    let istio = || {
        let kinds = GROUPS.iter().find(|(name, _)| *name == group);
        kinds.is_some_and(|(_, kinds)| kinds.iter().any(|(name, _)| *name == kind))
    };
    kubernetes(group, kind).is_some() || istio()
}

/// What a kind of Kubernetes' own is, if anything of it is read.
fn kubernetes(group: &str, kind: &str) -> Option<Class> {
    match (group, kind) {
        ("", "Service") | ("discovery.k8s.io", "EndpointSlice") => Some(Class::Topology),
        ("", "Pod") | ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet") => {
            Some(Class::Workload)
        }
        _ => None,
    }
}

/// Whether the version of a kind in force is one that is read; reports it if not.
pub(super) fn is_version(field: &Field<'_>, group: &str, version: &str) -> bool {
    let (versions, hint): (&[&str], _) = if group == OWN.0 {
        (&OWN.1, "v1alpha1")
    } else {
        (&VERSIONS, "v1, v1beta1 or v1alpha3")
    };
    let good = versions.contains(&version);
    if !good {
        let place = field.step("apiVersion").unwrap_or_else(|| field.clone());
        let message = format!("{version:?} is no version of {group}");
        place.error("unsupported-version", message, hint);
    }
    good
}

/// Says that a kind has no effect here. One of our own was written for llmesh, and is missed.
pub(super) fn not_in_force(field: &Field<'_>, kind: &str, group: &str) {
    let (whose, severity) = match group {
        group if group == OWN.0 => ("llmesh", Severity::Warning),
        "gateway.networking.k8s.io" => ("Gateway API", Severity::Note),
        _ => ("Istio", Severity::Note),
    };
    let message =
        format!("{kind} is a valid {whose} kind, but not in force in llmesh: it is ignored");
    let place = field.place();
    field
        .report()
        .add(&place, severity, "not-in-force", message, "");
}

/// A kind that its group does not have: an error where one that it has is meant.
fn unknown(field: &Field<'_>, kind: &str, kinds: &[(&str, bool)]) {
    let place = field.step("kind").unwrap_or_else(|| field.clone());
    let message = format!("{kind:?} is no kind of this API group that is known here");
    match nearest(kind, kinds.iter().map(|(name, _)| *name)) {
        Some(near) => {
            let hint = format!("did you mean {near}?");
            place.error("unsupported-kind", message, hint);
        }
        None => place.warn("unsupported-kind", format!("{message}: it is ignored"), ""),
    }
}

/// Reports a kind in force whose API group is missing or misspelt. Other groups may have kinds of the same name.
fn misplaced(field: &Field<'_>, found: &str, kind: &str) -> bool {
    let belongs = |(_, kinds): &&(&str, &[(&str, bool)])| {
        let mut kinds = kinds.iter();
        kinds.any(|(name, in_force)| *in_force && *name == kind)
    };
    let Some((group, _)) = GROUPS.iter().find(belongs) else {
        return false;
    };
    let groups = GROUPS.iter().map(|(name, _)| *name);
    let meant = found.is_empty() || found.contains("istio") || nearest(found, groups).is_some();
    if !meant {
        return false;
    }
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

/// Whether a kind without group, or a group without kind, is one that is read here.
pub(super) fn is_half_known(version: Option<&str>, kind: Option<&str>) -> bool {
    let known = |kind: &str| {
        let mut all = GROUPS.iter().flat_map(|(_, kinds)| *kinds);
        all.any(|(name, in_force)| *in_force && *name == kind)
    };
    version.is_some_and(is_known_group) || kind.is_some_and(known)
}
