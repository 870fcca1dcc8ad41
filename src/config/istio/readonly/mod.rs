//! Istio's kinds that have no effect here. They are checked all the same: what Istio's admission refuses in them is found
//! here too, with its place, and what it accepts is accepted.

mod authentication;
mod authorization;
mod cel;
mod envoy_filter;
mod gateway;
mod server_tls;
mod sidecar;
mod targets;
mod telemetry;
mod wasm;
mod workload_group;

use super::format::SELECTOR;
use crate::config::decode::{
    Field,
    shape::{COUNT, Fields, Shape},
};

static PROXY_CONFIG: Shape = Shape::Object(&Fields {
    fields: &[
        ("selector", SELECTOR),
        ("concurrency", COUNT),
        ("environmentVariables", Shape::Any),
        (
            "image",
            Shape::Object(&Fields {
                fields: &[("imageType", Shape::Str)],
                rules: &[],
            }),
        ),
    ],
    rules: &[],
});

/// A kind, the shape of its `spec`, and whether there must be one.
static KINDS: [(&str, &Shape, bool); 10] = [
    ("AuthorizationPolicy", &authorization::POLICY, false),
    ("EnvoyFilter", &envoy_filter::FILTER, false),
    ("Gateway", &gateway::GATEWAY, true),
    ("PeerAuthentication", &authentication::PEER, false),
    ("ProxyConfig", &PROXY_CONFIG, false),
    ("RequestAuthentication", &authentication::REQUEST, false),
    ("Sidecar", &sidecar::SIDECAR, true),
    ("Telemetry", &telemetry::TELEMETRY, false),
    ("WasmPlugin", &wasm::PLUGIN, true),
    ("WorkloadGroup", &workload_group::GROUP, true),
];

/// Checks the annotations of a resource that Istio's admission looks at.
pub(in crate::config) fn check_annotations(root: &Field<'_>, kind: &str) {
    let Some(annotations) = root.step("metadata").and_then(|m| m.step("annotations")) else {
        return;
    };
    if let Some(dry) = annotations.step("istio.io/dry-run") {
        let action = root.peek_str(&["spec", "action"]).unwrap_or("ALLOW");
        let boolean = [
            "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
        ];
        if kind != "AuthorizationPolicy" || !matches!(action, "ALLOW" | "DENY") {
            let message = "only an AuthorizationPolicy of ALLOW or DENY is run dry";
            dry.error("dry-run", message, "remove the annotation");
        } else if !dry
            .str_quietly()
            .is_some_and(|text| boolean.contains(&text))
        {
            dry.error(
                "dry-run",
                "this is no boolean in quotes",
                "\"true\" or \"false\"",
            );
        }
    }
    for name in [
        "internal.istio.io/parent-namespace",
        "internal.istio.io/parents",
        "internal.istio.io/webhook-always-reject",
    ] {
        if let Some(own) = annotations.step(name) {
            let message = "this annotation is Istio's own and not for people";
            own.error("internal-annotation", message, "remove it");
        }
    }
}

/// Checks a resource of a kind that has no effect.
pub(in crate::config) fn check(root: &Field<'_>, kind: &str) {
    let Some((_, shape, required)) = KINDS.iter().find(|(name, ..)| *name == kind) else {
        return;
    };
    match root.step("spec") {
        Some(spec) if spec.is_null() => spec.error(
            "wrong-type",
            "`spec` is null",
            "write `spec: {}` for an empty one",
        ),
        Some(spec) => spec.check(shape),
        None if *required => root.error("missing-field", "`spec` is missing", ""),
        None => {}
    }
}
