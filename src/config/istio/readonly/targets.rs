//! `targetRef` and `targetRefs`: what a policy of a gateway or waypoint is attached to.

use crate::config::decode::{
    Field,
    shape::{Fields, Rule, Shape},
};

/// What may be named, by group and kind.
const ALLOWED: [(&str, &str); 4] = [
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// One object.
pub(super) const TARGET: Shape = Shape::Object(&Fields {
    fields: &[
        ("group", Shape::Str),
        ("kind", Shape::Str),
        ("name", Shape::Str),
        ("namespace", Shape::Str),
    ],
    rules: &[Rule::All(&["kind", "name"]), Rule::Check(check)],
});

/// Several objects.
pub(super) const TARGETS: Shape = Shape::And(&Shape::List(&TARGET), |list| {
    if list.list().len() > 16 {
        list.error("out-of-range", "there are more than 16 targets", "");
    }
});

/// A policy chooses what it is for in one way.
pub(super) const ONE_CHOICE: Rule = Rule::AtMostOne(&["selector", "targetRef", "targetRefs"]);

fn check(target: &Field<'_>) {
    if let Some(namespace) = target.given("namespace") {
        let hint = "remove it: a policy is for its own namespace";
        namespace.error("bad-target", "a target is not of another namespace", hint);
    }
    let group = match target.peek_str(&["group"]) {
        None | Some("") => "core",
        Some(group) => group,
    };
    let Some(kind) = target.given("kind") else {
        return;
    };
    let name = kind.str_quietly().unwrap_or_default();
    if !ALLOWED.contains(&(group, name)) {
        let message = format!("a policy is not attached to {name:?} of the group {group:?}");
        let hint = "a Service, a ServiceEntry (networking.istio.io), or a Gateway or GatewayClass (gateway.networking.k8s.io)";
        kind.error("bad-target", message, hint);
    }
}
