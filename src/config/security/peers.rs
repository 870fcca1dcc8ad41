//! PeerAuthentication (Istio semantics 4.1).

use std::sync::Arc;

use super::authorization::selector;
use crate::{
    config::decode::Field,
    layers::authz::params::{Mode, PeerPolicy},
};

/// Reads a policy.
pub(super) fn read(root: &Field<'_>) -> PeerPolicy {
    let origin = root.origin();
    let mode = mode(root.peek_str(&["spec", "mtls", "mode"]));
    let mut policy = PeerPolicy::new(origin.namespace.as_str(), origin.name.as_str(), mode);
    policy.file = Arc::clone(&origin.file);
    policy.line = root.line();
    let Some(spec) = root.step("spec") else {
        return policy;
    };
    policy.selector = selector(&spec);
    let ports = spec.step("portLevelMtls").map(|ports| ports.entries_of());
    policy.ports = ports
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(port, field)| {
            Some((port.parse().ok()?, self::mode(field.peek_str(&["mode"]))))
        })
        .collect();
    policy
}

fn mode(word: Option<&str>) -> Option<Mode> {
    match word {
        Some("DISABLE") => Some(Mode::Disable),
        Some("PERMISSIVE") => Some(Mode::Permissive),
        Some("STRICT") => Some(Mode::Strict),
        _ => None,
    }
}
