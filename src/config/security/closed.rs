//! Policies that cannot be understood, as what they may be: everything they are for is closed.

use std::sync::Arc;

use super::authorization::selector;
use crate::{
    config::{decode::Field, diagnostic::Place, marks, names},
    layers::authz::params::{Mode, PeerPolicy, Policy},
};

const WHY: &str = "it is left out, because it cannot be understood";

/// Of a resource that is left out: the workloads that it selects, if it selects any as it should.
pub(super) fn policy(field: &Field<'_>) -> Policy {
    let origin = field.origin();
    let mut policy = Policy::closed(origin.namespace.as_str(), origin.name.as_str(), WHY);
    policy.file = Arc::clone(&origin.file);
    policy.line = field.line();
    policy.selector = selected(field);
    policy
}

/// The same of a PeerAuthentication: mutual TLS alone is taken.
pub(super) fn peer(field: &Field<'_>) -> PeerPolicy {
    let origin = field.origin();
    let strict = Some(Mode::Strict);
    let mut peer = PeerPolicy::new(origin.namespace.as_str(), origin.name.as_str(), strict);
    peer.file = Arc::clone(&origin.file);
    peer.line = field.line();
    peer.selector = selected(field);
    peer
}

/// Labels that are no texts, or no labels at all, choose nothing: it may be for every workload.
fn selected(field: &Field<'_>) -> std::collections::BTreeMap<String, String> {
    let spec = field.step("spec");
    let selector = spec.map(|spec| selector(&spec)).unwrap_or_default();
    let whole = |(key, value): (&String, &String)| !key.is_empty() && !value.is_empty();
    if selector.iter().all(whole) {
        selector
    } else {
        std::collections::BTreeMap::new()
    }
}

/// Of the text of a document that cannot be read: its whole namespace.
pub(super) fn policies_in(text: &str, place: &Place, namespace: &str) -> Option<Policy> {
    let (namespace, name) = named(text, "AuthorizationPolicy", namespace)?;
    let mut policy = Policy::closed(namespace, name, WHY);
    policy.file = Arc::clone(&place.origin.file);
    policy.line = place.line;
    Some(policy)
}

/// Of the text of a document that cannot be read: its whole namespace takes mutual TLS alone.
pub(super) fn peers_in(text: &str, place: &Place, namespace: &str) -> Option<PeerPolicy> {
    let (namespace, name) = named(text, "PeerAuthentication", namespace)?;
    let mut peer = PeerPolicy::new(namespace, name, Some(Mode::Strict));
    peer.file = Arc::clone(&place.origin.file);
    peer.line = place.line;
    Some(peer)
}

/// Namespace and name, as its lines say them, of a text that is of a kind.
fn named<'t>(text: &'t str, kind: &str, namespace: &'t str) -> Option<(&'t str, &'t str)> {
    let said = |key: &'static str| {
        let lines = text.lines();
        let lines = lines.filter(|line| !line.trim_start().starts_with('#'));
        lines.flat_map(move |line| marks::values(line, key))
    };
    said("kind").find(|word| *word == kind)?;
    let name = said("name").find(|name| names::is_dns_label(name));
    let space = said("namespace").find(|name| names::is_dns_label(name));
    Some((space.unwrap_or(namespace), name.unwrap_or_default()))
}
