//! The reference mesh, file by file: one user's resources, mistakes included.

use llmesh::{
    config::{Options, Severity, load},
    model::Discovery,
};

use crate::{load_files, sources, summary};

/// Warnings and errors of some files, as `file-number:line severity[rule]`.
fn findings(prefixes: &[&str]) -> Vec<String> {
    let loaded = load_files(prefixes);
    assert_eq!(
        loaded.model.is_some(),
        loaded.count(Severity::Error) == 0,
        "there is a model if and only if there is no error"
    );
    let short = |d: &llmesh::config::Diagnostic| {
        let number = d.file.split('-').next().unwrap_or_default();
        format!("{number}:{} {}[{}]", d.line, d.severity, d.rule)
    };
    loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(short)
        .collect()
}

#[test]
fn each_file_alone() {
    let table: &[(&str, &[&str])] = &[
        ("01", &[]),
        ("02", &["02:66 warning[no-endpoints]"]),
        (
            "03",
            &[
                "03:25 warning[gateway-errors-without-effect]",
                "03:45 warning[subset-pool-replaces]",
            ],
        ),
        (
            "04",
            &[
                "04:21 warning[unknown-host]",
                "04:22 warning[subset-without-rule]",
                "04:29 warning[retries-exceed-timeout]",
            ],
        ),
        ("05", &[]),
        ("06", &[]),
        (
            "07",
            &[
                "07:19 warning[unknown-host]",
                "07:20 warning[subset-without-rule]",
                "07:27 warning[subset-without-rule]",
            ],
        ),
        (
            "08",
            &[
                "08:13 warning[unknown-host]",
                "08:14 warning[subset-without-rule]",
                "08:17 warning[not-in-force]",
            ],
        ),
        ("09", &[]),
        ("10", &["10:36 error[yaml]"]),
        ("11", &[]),
        ("12", &[]),
        ("13", &[]),
        ("14", &[]),
        ("15", &[]),
        (
            "16",
            &[
                "16:11 warning[not-in-force]",
                "16:19 warning[unknown-host]",
                "16:20 warning[subset-without-rule]",
            ],
        ),
        (
            "17",
            &[
                "17:11 warning[not-in-force]",
                "17:19 warning[unknown-host]",
                "17:20 warning[subset-without-rule]",
            ],
        ),
        ("18", &[]),
        ("19", &[]),
        (
            "20",
            &[
                "20:14 error[sidecar-short-host]",
                "20:15 error[sidecar-short-host]",
            ],
        ),
        ("endpoints", &[]),
    ];
    for (file, expected) in table {
        assert_eq!(findings(&[file]), *expected, "{file}");
    }
}

#[test]
fn notes_tell_what_surprises() {
    for (file, line, rule) in [
        ("03", 19, "max-retries-is-concurrent"),
        ("04", 12, "stream-timeout"),
        ("04", 43, "retriable-4xx"),
        ("04", 45, "not-in-force"),
        ("05", 15, "max-retries-is-concurrent"),
        ("07", 12, "rule-without-timeout"),
        ("09", 2, "inbound-only"),
        ("11", 1, "not-kubernetes"),
        ("12", 2, "not-kubernetes"),
        ("13", 2, "not-in-force"),
        ("18", 2, "ignored-kind"),
        ("19", 2, "ignored-kind"),
    ] {
        let loaded = load_files(&[file]);
        let found = loaded
            .diagnostics
            .iter()
            .any(|d| (d.line, d.rule, d.severity) == (line, rule, Severity::Note));
        assert!(found, "{file}:{line} {rule} in {:?}", summary(&loaded));
    }
}

#[test]
fn a_virtual_service_alone_is_fine_though_nothing_else_is_known() {
    for file in ["04", "07", "08", "16", "17"] {
        let loaded = load_files(&[file]);
        let model = loaded.model.expect("it loads");
        assert_eq!(model.virtual_hosts.len(), 1, "{file}");
        assert!(model.clusters.is_empty(), "{file}");
        let rules: Vec<_> = loaded
            .diagnostics
            .iter()
            .map(|d| (d.rule, d.severity))
            .collect();
        assert!(
            rules.contains(&("subset-without-rule", Severity::Warning)),
            "{file}"
        );
        assert!(
            rules.contains(&("unknown-host", Severity::Warning)),
            "{file}"
        );
    }
}

#[test]
fn five_virtual_services_for_one_host() {
    let all = ["04", "07", "08", "16", "17"];
    let loaded = load_files(&all);
    let conflicts: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == "virtual-service-conflict")
        .collect();
    let losers: Vec<_> = conflicts.iter().map(|d| d.resource.as_str()).collect();
    assert_eq!(
        losers,
        [
            "VirtualService ai-services/llm-service-canary",
            "VirtualService ai-services/llm-service-mirror",
            "VirtualService ai-services/llm-service-fault-delay",
            "VirtualService ai-services/llm-service-fault-abort",
        ]
    );
    for conflict in &conflicts {
        assert_eq!(conflict.severity, Severity::Warning);
        assert_eq!(conflict.path, "spec.hosts[0]");
        assert!(
            conflict
                .message
                .contains("VirtualService ai-services/llm-service-vs")
        );
        assert!(conflict.message.contains(&conflict.resource));
    }
    let model = loaded.model.expect("warnings only");
    assert_eq!(
        model.virtual_hosts[0].origin,
        "VirtualService/ai-services/llm-service-vs"
    );
    let strict = load(&sources(&all), &Options::default().with_strict(true));
    assert!(strict.model.is_none());
    assert_eq!(strict.count(Severity::Error), 4);
}

#[test]
fn load_order_decides_and_an_overlay_beats_it() {
    let origin = |sources: &[llmesh::config::Source]| {
        let loaded = load(sources, &Options::default());
        let rules: Vec<_> = loaded.diagnostics.iter().map(|d| d.rule).collect();
        let model = loaded.model.expect("it loads");
        (model.virtual_hosts[0].origin.clone(), rules)
    };
    let mut files = sources(&["07", "04"]);
    assert_eq!(
        origin(&files).0,
        "VirtualService/ai-services/llm-service-canary"
    );
    files[1] = files[1].clone().as_overlay();
    let (winner, rules) = origin(&files);
    assert_eq!(winner, "VirtualService/ai-services/llm-service-vs");
    assert!(rules.contains(&"virtual-service-overlaid"));
    assert!(!rules.contains(&"virtual-service-conflict"));
}

#[test]
fn an_overlay_conflicts_with_no_base_even_when_strict() {
    let mut files = sources(&["04", "16"]);
    files[1] = files[1].clone().as_overlay();
    let loaded = load(&files, &Options::default().with_strict(true));
    assert!(loaded.model.is_some(), "{:?}", summary(&loaded));
}

#[test]
fn topology_from_kubernetes_kinds() {
    let model = load_files(&["02", "06"]).model.expect("it loads");
    let host = &model.virtual_hosts[0];
    assert_eq!(
        &*host.name,
        "llm-service.ai-services.svc.cluster.local:8080"
    );
    assert_eq!(host.ports, [8080]);
    assert_eq!(
        host.domains,
        [
            "llm-service.ai-services.svc.cluster.local",
            "llm-service",
            "llm-service.ai-services",
            "llm-service.ai-services.svc",
        ]
    );
    let cluster = &model.clusters["outbound|8080||llm-service.ai-services.svc.cluster.local"];
    assert_eq!(cluster.discovery, Discovery::Static(Vec::new()));
}

#[test]
fn too_few_endpoints_to_eject() {
    let three = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: k, namespace: ai-services}\nspec:\n  hosts: [knowledge-service.ai-services.svc.cluster.local]\n  resolution: STATIC\n  ports: [{number: 8080, name: http}]\n  endpoints: [{address: 10.0.0.1}, {address: 10.0.0.2}, {address: 10.0.0.3}]\n";
    let mut files = sources(&["05"]);
    files.push(llmesh::config::Source::new("three.yaml", three));
    let loaded = load(&files, &Options::default());
    let found = loaded
        .diagnostics
        .iter()
        .find(|d| d.rule == "ejection-impossible");
    let found = found.expect("33 % are more than 30 %");
    assert_eq!((found.severity, found.line), (Severity::Warning, 18));
    assert!(found.hint.contains("34"), "{}", found.hint);
    // With the four of the reference endpoints one may go.
    let four = load_files(&["05", "endpoints"]);
    assert!(
        !summary(&four)
            .iter()
            .any(|s| s.contains("ejection-impossible"))
    );
}

#[test]
fn the_broken_file_does_not_hide_what_is_wrong_elsewhere() {
    let loaded = load_files(&["10", "20", "03", "05", "endpoints"]);
    assert!(loaded.model.is_none());
    let found = summary(&loaded);
    assert!(found.contains(&"10-authorization-policy.yaml:36 error[yaml]".to_owned()));
    assert!(found.contains(&"20-sidecar-scope.yaml:14 error[sidecar-short-host]".to_owned()));
}
