//! How findings look, and what is reported without being refused.

use llmesh::config::{Options, Severity, Source, load, read_paths};

use crate::{folder, load_text, summary};

const HEAD: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a]\n  http:\n";

/// Rules of all findings for a VirtualService with these rules, but for missing names.
fn rules(text: &str) -> Vec<String> {
    load_text(&format!("{HEAD}{text}"))
        .diagnostics
        .iter()
        .filter(|d| d.rule != "unknown-host")
        .map(|d| format!("{} {}", d.severity, d.rule))
        .collect()
}

#[test]
fn a_finding_names_the_place_and_the_way_out() {
    let text = format!("{HEAD}  - route: [{{destination: {{host: a}}}}]\n    timeout: 30\n");
    let loaded = load(&[Source::new("mesh/a.yaml", text)], &Options::default());
    let found = &loaded.diagnostics[1];
    assert_eq!(
        found.to_string(),
        "mesh/a.yaml:8:14: error[bad-duration] VirtualService n/a spec.http[0].timeout: 30 has no unit\n  hint: write \"30s\" for seconds or \"30ms\" for milliseconds"
    );
    assert_eq!(
        found.to_json(),
        serde_json::json!({
            "severity": "error", "rule": "bad-duration", "file": "mesh/a.yaml", "line": 8, "column": 14, "document": 1,
            "resource": "VirtualService n/a", "path": "spec.http[0].timeout", "message": "30 has no unit",
            "hint": "write \"30s\" for seconds or \"30ms\" for milliseconds",
        })
    );
}

#[test]
fn findings_are_sorted_by_source_and_line() {
    let broken = |name: &str| {
        let text = format!("{HEAD}  - rout: []\n    nmae: x\n")
            .replace("name: a", &format!("name: {name}"));
        Source::new(format!("{name}.yaml"), text)
    };
    // Overlays are read first, and still shown in the order given.
    let loaded = load(
        &[broken("b"), broken("a").as_overlay()],
        &Options::default(),
    );
    let lines: Vec<_> = loaded
        .diagnostics
        .iter()
        .map(|d| (d.file.to_string(), d.line))
        .collect();
    let mut sorted = lines.clone();
    sorted.sort_by_key(|(file, line)| (file == "a.yaml", *line));
    assert_eq!(lines, sorted);
    assert!(lines.len() >= 6);
}

#[test]
fn valid_fields_that_are_not_in_force_are_reported() {
    let route = "  - route: [{destination: {host: a}}]\n";
    for more in [
        "    mirror: {host: b}\n",
        "    mirrors: [{destination: {host: b}}]\n",
        "    corsPolicy: {allowOrigins: [{exact: \"*\"}]}\n",
        "    fault: {abort: {httpStatus: 503, percentage: {value: 10}}}\n",
        "    headers: {request: {set: {a: \"%DYNAMIC_METADATA(a:b)%\"}}}\n",
    ] {
        assert_eq!(
            rules(&format!("{route}{more}")),
            ["warning not-in-force"],
            "{more}"
        );
    }
    assert_eq!(rules("  - delegate: {name: b}\n"), ["warning not-in-force"]);
    assert_eq!(
        rules("  - redirect: {uri: /x, derivePort: FROM_PROTOCOL_DEFAULT}\n"),
        ["warning not-in-force"]
    );
}

#[test]
fn policies_that_are_not_in_force_are_reported() {
    let head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: n}\nspec:\n  host: a\n  trafficPolicy:\n    ";
    for (block, severity) in [
        ("tls: {mode: ISTIO_MUTUAL}", Severity::Warning),
        ("tunnel: {targetHost: a, targetPort: 80}", Severity::Warning),
        ("loadBalancer: {warmup: {duration: 10s}}", Severity::Warning),
        (
            "loadBalancer: {simple: RANDOM, localityLbSetting: {enabled: true}}",
            Severity::Warning,
        ),
        (
            "connectionPool: {http: {http2KeepAlive: {interval: 1s}}}",
            Severity::Note,
        ),
    ] {
        let loaded = load_text(&format!("{head}{block}\n"));
        let found = loaded
            .diagnostics
            .iter()
            .any(|d| d.rule.ends_with("not-in-force") && d.severity == severity);
        assert!(
            found && loaded.model.is_some(),
            "{block}: {:?}",
            loaded.diagnostics
        );
    }
    assert!(load_text(&format!("{head}tls: {{mode: DISABLE}}\n")).count(Severity::Warning) == 0);
    // In force, in another manner than Istio's.
    let budget = load_text(&format!("{head}retryBudget: {{percent: 20}}\n"));
    let said = |rule| budget.diagnostics.iter().find(|d| d.rule == rule);
    let note = said("retry-budget-over-time").expect("it is said");
    assert_eq!(note.severity, Severity::Note);
    assert!(said("not-in-force").is_none());
    for bad in [
        "percent: 101",
        "percent: \"20\"",
        "minRetryConcurrency: -1",
        "budgetInterval: 10",
    ] {
        let loaded = load_text(&format!("{head}retryBudget: {{{bad}}}\n"));
        assert!(loaded.model.is_none(), "{bad}: {:?}", loaded.diagnostics);
    }
}

#[test]
fn kinds_that_are_not_in_force_are_reported() {
    let gateway = "{servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]}";
    for (version, kind, spec, severity) in [
        ("networking.istio.io/v1", "Gateway", gateway, "note"),
        ("networking.istio.io/v1alpha3", "EnvoyFilter", "{}", "note"),
        (
            "security.istio.io/v1",
            "RequestAuthentication",
            "{}",
            "note",
        ),
        ("telemetry.istio.io/v1", "Telemetry", "{}", "note"),
        (
            "install.istio.io/v1alpha1",
            "IstioOperator",
            "{x: 1}",
            "note",
        ),
        ("llmesh.io/v1alpha1", "Rollout", "{x: 1}", "warning"),
        (
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            "{x: 1}",
            "note",
        ),
    ] {
        let loaded = load_text(&format!(
            "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n"
        ));
        assert_eq!(
            summary(&loaded),
            [format!("test.yaml:1 {severity}[not-in-force]")],
            "{kind}"
        );
    }
    for (version, kind) in [
        ("v1", "ConfigMap"),
        ("batch/v1", "Job"),
        ("example.com/v1", "Thing"),
    ] {
        let loaded = load_text(&format!("apiVersion: {version}\nkind: {kind}\n"));
        assert_eq!(
            summary(&loaded),
            ["test.yaml:1 note[ignored-kind]"],
            "{kind}"
        );
    }
}

#[test]
fn null_is_absent_with_a_warning() {
    let route = "  - route: [{destination: {host: a}}]\n";
    for more in [
        "    timeout:\n",
        "    match: null\n",
        "    retries: ~\n",
        "    name: null\n",
    ] {
        assert_eq!(
            rules(&format!("{route}{more}")),
            ["warning null-value"],
            "{more}"
        );
    }
    let loaded = load_text(&format!("{HEAD}{route}    match:\n"));
    assert!(
        loaded.model.expect("it loads").virtual_hosts[0].routes[0]
            .matches
            .is_empty()
    );
}

#[test]
fn a_timeout_of_zero_is_none() {
    let text = "  - route: [{destination: {host: a}}]\n    timeout: 0s\n";
    assert_eq!(rules(text), ["warning zero-timeout"]);
}

#[test]
fn rules_that_are_never_reached() {
    let to = "    route: [{destination: {host: a}}]\n";
    for (text, expected) in [
        (
            format!("  - name: all\n{to}  - name: late\n{to}"),
            vec!["warning unreachable-rule"],
        ),
        (
            format!("  - match: [{{uri: {{prefix: /}}}}]\n{to}  - name: late\n{to}"),
            vec!["warning unreachable-rule"],
        ),
        (
            format!(
                "  - match: [{{uri: {{prefix: /a}}}}]\n{to}  - match: [{{uri: {{exact: /a/b}}}}]\n{to}"
            ),
            vec!["warning shadowed-match"],
        ),
        (
            format!("  - match: [{{method: {{exact: GET}}}}, {{method: {{exact: GET}}}}]\n{to}"),
            vec!["warning shadowed-match"],
        ),
        (
            format!(
                "  - match: [{{uri: {{prefix: /a}}, method: {{exact: GET}}}}]\n{to}  - match: [{{uri: {{prefix: /a/b}}}}]\n{to}"
            ),
            vec![],
        ),
        (
            format!(
                "  - match: [{{uri: {{prefix: /}}, sourceNamespace: b}}]\n{to}  - name: late\n{to}"
            ),
            vec![],
        ),
    ] {
        assert_eq!(rules(&text), expected, "{text}");
    }
}

#[test]
fn a_per_try_timeout_that_is_no_shorter_is_ignored() {
    let text = "  - route: [{destination: {host: a}}]\n    timeout: 5s\n    retries: {attempts: 1, perTryTimeout: 5s}\n";
    assert_eq!(rules(text), ["warning try-timeout-without-effect"]);
}

#[test]
fn missing_names_are_a_warning_once_others_are_known() {
    let service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: n}\nspec: {ports: [{port: 80}]}\n";
    let text = format!(
        "{HEAD}  - route: [{{destination: {{host: b}}}}, {{destination: {{host: lost}}, weight: 1}}]\n{service}"
    );
    let loaded = load_text(&text);
    let lost: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == "unknown-host" && d.severity == Severity::Warning)
        .map(|d| d.path.as_str())
        .collect();
    assert_eq!(
        lost,
        ["spec.hosts[0]", "spec.http[0].route[1].destination.host"]
    );
}

#[test]
fn folders_are_read_by_name() {
    let sources = read_paths(&[folder()], &[]).expect("it can be read");
    let names: Vec<_> = sources
        .iter()
        .map(|s| s.name.rsplit('/').next().unwrap_or_default())
        .collect();
    assert_eq!(names.len(), 21);
    assert!(names.is_sorted());
    assert!(names.contains(&"11-grafana-dashboard.json"));
    let loaded = load(&sources, &Options::default());
    let errors: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| d.rule)
        .collect();
    assert_eq!(errors, ["yaml", "sidecar-short-host", "sidecar-short-host"]);
}

#[test]
fn thousands_of_findings_are_counted_rather_than_kept() {
    let mut text = HEAD.to_owned();
    for n in 0..3000 {
        text.push_str(&format!(
            "  - {{x{n}: 1, route: [{{destination: {{host: a}}}}]}}\n"
        ));
    }
    let loaded = load_text(&text);
    assert!(
        loaded.diagnostics.len() <= 2 * 1000 + 2,
        "{}",
        loaded.diagnostics.len()
    );
    let last = loaded.diagnostics.last().expect("there are some");
    assert_eq!(last.rule, "too-many");
    assert!(loaded.model.is_none());
}

#[test]
fn misplaced_text_is_not_repeated() {
    let text = format!(
        "{HEAD}  - route: [{{destination: {{host: a}}}}]\n    headers: {{request: {{set: Bearer sk-secret}}}}\n    weight: \"100\"\n"
    );
    let loaded = load_text(&text);
    let shown: String = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert!(
        shown.contains("expected a mapping, found a string"),
        "{shown}"
    );
    assert!(!shown.contains("sk-secret"), "{shown}");
}
