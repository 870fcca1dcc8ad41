//! The API groups of Istio's kinds and our own.

/// The versions of Istio's kinds that are in force.
pub(super) const VERSIONS: [&str; 3] = ["v1", "v1beta1", "v1alpha3"];

/// Our own API group, and its versions.
pub(super) const OWN: (&str, [&str; 1]) = ("llmesh.io", ["v1alpha1"]);

/// Kinds of Istio and our own by group, and whether llmesh puts them in force.
pub(super) const GROUPS: [(&str, &[(&str, bool)]); 6] = [
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

/// Whether `version` is one of a group of Istio's or ours.
pub(super) fn is_known_group(version: &str) -> bool {
    GROUPS.iter().any(|(group, _)| {
        let rest = version.strip_prefix(group);
        rest.is_some_and(|rest| rest.starts_with('/'))
    })
}
