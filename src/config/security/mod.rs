//! AuthorizationPolicy and PeerAuthentication, to what the inbound side enforces.
//!
//! Their shape is checked before (`istio::readonly`); what is read here is right, or the resource is left out. One that is
//! left out does not leave a hole: it is put in force as a policy that refuses everything it may be for.

mod authorization;
mod closed;
mod peers;

use std::sync::Arc;

use super::{
    decode::Field,
    diagnostic::{Place, Severity},
    layer::Layer,
};
use crate::layers::authz::params::{PeerPolicy, Policy};

/// What was read of them.
#[derive(Debug, Default)]
pub(super) struct Security {
    pub(super) policies: Vec<(Policy, Layer)>,
    pub(super) peers: Vec<(PeerPolicy, Layer)>,
}

// === impl Security ===

impl Security {
    pub(super) fn append(&mut self, own: &mut Self) {
        self.policies.append(&mut own.policies);
        self.peers.append(&mut own.peers);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.policies.is_empty() && self.peers.is_empty()
    }

    /// Reads a resource if it is of a kind that is in force. Returns whether it is.
    pub(super) fn read(&mut self, field: &Field<'_>, kind: &str, all: &Self) -> bool {
        let origin = field.origin();
        match kind {
            "AuthorizationPolicy" => {
                let mut known = all.policies.iter();
                let first = known.find(|(p, _)| is(origin, &p.namespace, &p.name));
                if let Some((first, layer)) = first {
                    repeated(field, *layer, &first.file, first.line);
                } else if let Some(policy) = authorization::read(field) {
                    self.policies.push((policy, origin.layer));
                    inbound_only(field, kind);
                }
                true
            }
            "PeerAuthentication" => {
                let mut known = all.peers.iter();
                let first = known.find(|(p, _)| is(origin, &p.namespace, &p.name));
                if let Some((first, layer)) = first {
                    repeated(field, *layer, &first.file, first.line);
                } else {
                    self.peers.push((peers::read(field), origin.layer));
                    inbound_only(field, kind);
                }
                true
            }
            _ => false,
        }
    }

    /// Closes what a resource that is left out may be for.
    pub(super) fn close(&mut self, field: &Field<'_>) {
        let layer = field.origin().layer;
        match field.peek_str(&["kind"]) {
            Some("AuthorizationPolicy") => self.policies.push((closed::policy(field), layer)),
            Some("PeerAuthentication") => self.peers.push((closed::peer(field), layer)),
            _ => {}
        }
    }

    /// Closes what the text of a document that cannot be read may be for, as far as its lines tell.
    pub(super) fn close_text(&mut self, text: &str, place: &Place, namespace: &str) {
        let layer = place.origin.layer;
        let policies = closed::policies_in(text, place, namespace).into_iter();
        self.policies.extend(policies.map(|policy| (policy, layer)));
        let peers = closed::peers_in(text, place, namespace).into_iter();
        self.peers.extend(peers.map(|peer| (peer, layer)));
    }
}

fn is(origin: &super::diagnostic::Origin, namespace: &Arc<str>, name: &Arc<str>) -> bool {
    origin.namespace == **namespace && origin.name == **name && !name.is_empty()
}

/// The first one of the highest layer wins: two of one name would let in more together than either.
fn repeated(field: &Field<'_>, first: Layer, file: &str, line: u32) {
    let message = format!("already given at {file}:{line}: this one has no effect");
    if first > field.origin().layer {
        field.note("resource-overlaid", message, first.hint());
    } else {
        let hint = "keep one of the two, or rename one";
        field.warn("duplicate-resource", message, hint);
    }
}

fn inbound_only(field: &Field<'_>, kind: &str) {
    let message = format!(
        "{kind} is in force where requests come in (`run --inbound`, `authorization_layer()` of a mesh); those that leave are not looked at"
    );
    let place = field.place();
    field
        .report()
        .add(&place, Severity::Note, "inbound-only", message, "");
}
