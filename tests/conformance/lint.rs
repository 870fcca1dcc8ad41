//! The linter: all resources of a folder together.

use std::{collections::BTreeSet, path::Path};

use llmesh::config::{self, Diagnostic, Loaded, Options, Severity, Source, load, read_paths};

use crate::{folder, summary};

fn lint(sources: &[Source]) -> Loaded {
    load(sources, &Options::default().with_lint(true))
}

fn lint_text(text: &str) -> Loaded {
    lint(&[Source::new("test.yaml", text)])
}

fn lint_folder(path: &Path) -> Loaded {
    let mut sources = read_paths(&[path.to_owned()], &[]).expect("it can be read");
    for source in &mut sources {
        let name = source.name.rsplit('/').next().unwrap_or_default();
        source.name = name.to_owned();
    }
    lint(&sources)
}

fn example(name: &str) -> Loaded {
    lint_folder(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples")
            .join(name),
    )
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let all = loaded.diagnostics.iter();
    let all = all.filter(|d| d.severity == Severity::Warning);
    all.map(|d| format!("{}:{} {}", &d.file[..2], d.line, d.rule))
        .collect()
}

fn of<'l>(loaded: &'l Loaded, rule: &str) -> Vec<&'l Diagnostic> {
    loaded
        .diagnostics
        .iter()
        .filter(|d| d.rule == rule)
        .collect()
}

#[test]
fn every_rule_is_found_in_its_bad_example_and_not_in_its_good_one() {
    let mut ids = BTreeSet::new();
    let mut examples = 0;
    for rule in config::rules() {
        assert!(ids.insert(rule.id), "{} is there twice", rule.id);
        assert!(!rule.why.is_empty() && !rule.fix.is_empty(), "{}", rule.id);
        assert!(rule.to_string().contains(rule.why));
        if rule.bad.is_empty() {
            continue;
        }
        examples += 1;
        let bad = lint_text(rule.bad);
        let found = of(&bad, rule.id);
        assert!(!found.is_empty(), "{}: {:?}", rule.id, summary(&bad));
        for finding in found {
            assert_eq!(finding.severity, rule.severity, "{finding}");
            assert!(finding.line > 0 && !finding.hint.is_empty(), "{finding}");
        }
        let good = lint_text(rule.good);
        assert!(
            of(&good, rule.id).is_empty(),
            "{}: {:?}",
            rule.id,
            summary(&good)
        );
        assert_eq!(
            good.count(Severity::Error),
            0,
            "{}: {:?}",
            rule.id,
            summary(&good)
        );
    }
    assert!(examples >= 21, "{examples}");
}

#[test]
fn the_storm() {
    let storm = example("storm");
    assert_eq!(storm.count(Severity::Error), 0);
    assert_eq!(
        warnings(&storm),
        [
            "02:8 caller-gives-up-first",
            "02:18 max-retries-below-attempts",
            "02:19 gateway-errors-without-effect",
            "03:8 call-without-timeout",
            "03:8 retry-amplification",
            "03:9 fault-left-on",
            "03:9 not-in-force",
            "04:8 caller-gives-up-first",
            "04:8 caller-gives-up-first",
            "04:16 call-without-breaker",
            "04:18 pool-too-small",
            "05:8 retry-amplification",
            "05:17 ejection-impossible",
            "06:8 retries-without-budget",
            "06:8 retry-amplification",
            "06:24 subset-pool-replaces",
            "07:8 retry-amplification",
            "07:8 stream-retried",
            "07:13 paid-call-retried",
            "07:13 retries-exceed-timeout",
        ]
    );
    let late = of(&storm, "caller-gives-up-first");
    assert!(
        late[1].message.contains("3s") && late[1].message.contains("30s"),
        "{}",
        late[1]
    );
    let amplified = of(&storm, "retry-amplification");
    let worst = &amplified[2].message;
    assert!(
        worst.contains("one request of web is sent to it 72 times")
            && worst.contains(
                "web to conversation: 3, conversation to knowledge: 4, knowledge to vector-store: 6"
            )
            && worst.contains("1.73"),
        "{worst}"
    );
    let pool = of(&storm, "pool-too-small");
    assert!(pool[0].message.contains("are 30 in flight"), "{}", pool[0]);
    let graph = storm.graph.expect("it was asked for");
    assert_eq!(
        (graph.nodes.len(), graph.calls.len(), graph.settings),
        (7, 6, 23)
    );
}

#[test]
fn the_storm_repaired() {
    let repaired = example("storm-repaired");
    assert_eq!(warnings(&repaired), Vec::<String>::new());
    assert_eq!(repaired.count(Severity::Error), 0);
    let graph = repaired.graph.expect("it was asked for");
    assert_eq!(graph.nodes.len(), 7);
    let worst = graph
        .calls
        .iter()
        .map(|call| call.amplification)
        .fold(0.0, f64::max);
    assert!((worst - 3.0).abs() < f64::EPSILON, "{worst}");
}

#[test]
fn drawings_of_the_storm() {
    let graph = example("storm").graph.expect("it was asked for");
    let text = graph.to_text();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "web");
    assert_eq!(
        lines[5],
        "   │  └─ vector-store   3 calls each; 8 in flight; 30s, 6 sends; breaker; x72 in an outage"
    );
    let mermaid = graph.to_mermaid();
    assert!(
        mermaid.starts_with("flowchart LR\n  n0[\"web\"]\n"),
        "{mermaid}"
    );
    assert_eq!(mermaid.matches("-->").count(), 6);
    let svg = graph.to_svg();
    assert_eq!(svg.matches("<line ").count(), 6);
    assert_eq!(svg.matches("rx=\"6\"").count(), 7);
    assert!(svg.contains(">x72 in an outage</text>"));
}

/// Istio semantics, section 8: points 1 to 8, 10, 14 and 17.
#[test]
fn the_reference_mesh() {
    let loaded = lint_folder(&folder());
    let found: Vec<_> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(|d| format!("{}:{} {} {}", &d.file[..2], d.line, d.severity, d.rule))
        .collect();
    assert_eq!(loaded.count(Severity::Error), 3, "{found:#?}");
    for expected in [
        "10:36 error yaml",
        "10:15 warning sources-are-anded",
        "07:9 warning virtual-service-conflict",
        "08:9 warning virtual-service-conflict",
        "16:9 warning virtual-service-conflict",
        "17:9 warning virtual-service-conflict",
        "20:14 error sidecar-short-host",
        "20:15 error sidecar-short-host",
        "03:45 warning subset-pool-replaces",
        "03:25 warning gateway-errors-without-effect",
        "05:18 warning ejection-at-its-limit",
        "05:10 warning max-retries-below-attempts",
        "04:43 warning retriable-4xx",
        "04:29 warning retries-exceed-timeout",
        "15:23 warning rate-limit-without-actions",
        "18:12 warning unknown-annotation",
    ] {
        assert!(
            found.iter().any(|f| f == expected),
            "{expected} in {found:#?}"
        );
    }
    for d in loaded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
    {
        assert!(!d.hint.is_empty() || d.rule == "not-in-force", "{d}");
    }
}

#[test]
fn the_second_policy_of_10_repaired_as_it_stands_refuses_everything() {
    let repaired = |spec: &str| {
        lint_text(&format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: deny-all, namespace: ai-services}}\nspec: {spec}\n"
        ))
    };
    let literal = repaired("{action: DENY, rules: [{}]}");
    assert_eq!(of(&literal, "deny-everything").len(), 1);
    for fine in [
        "{}",
        "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}",
    ] {
        assert!(of(&repaired(fine), "deny-everything").is_empty(), "{fine}");
    }
}

#[test]
fn who_calls_whom_is_read_from_what_files_say() {
    let service = |name: &str, account: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: n}}\nspec:\n  hosts: [{name}.n.svc.cluster.local]\n  resolution: STATIC\n  ports: [{{number: 80, name: http}}]\n  endpoints: [{{address: 10.0.0.1, labels: {{app: {name}}}, serviceAccount: {account}}}]\n---\n"
        )
    };
    let base = service("a", "sa-a") + &service("b", "sa-b");
    for (more, by) in [
        (
            "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n}\nspec: {workloadSelector: {labels: {app: a}}, egress: [{hosts: [./b.n.svc.cluster.local, istio-system/*]}]}\n",
            "Sidecar",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: b, namespace: n}\nspec: {selector: {matchLabels: {app: b}}, rules: [{from: [{source: {principals: [cluster.local/ns/n/sa/sa-a]}}]}]}\n",
            "AuthorizationPolicy",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: b, namespace: n}\nspec: {selector: {matchLabels: {app: b}}, rules: [{from: [{source: {serviceAccounts: [n/sa-a]}}]}]}\n",
            "AuthorizationPolicy",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: b, namespace: n}\nspec: {hosts: [b], http: [{match: [{sourceLabels: {app: a}}], timeout: 1s, route: [{destination: {host: b}}]}]}\n",
            "sourceLabels",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n, annotations: {llmesh.io/calls: b}}\nspec: {ports: [{port: 80, name: http}]}\n",
            "annotation",
        ),
        (
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x, namespace: n}\nspec: {template: {metadata: {labels: {app: a}, annotations: {llmesh.io/calls: b}}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: n}\nspec: {selector: {app: a}, ports: [{port: 80, name: http}]}\n",
            "annotation",
        ),
    ] {
        let graph = lint_text(&(base.clone() + more))
            .graph
            .expect("it was asked for");
        let calls: Vec<_> = graph
            .calls
            .iter()
            .map(|call| {
                (
                    graph.nodes[call.from].as_str(),
                    graph.nodes[call.to].as_str(),
                    call.told_by,
                )
            })
            .collect();
        assert_eq!(calls, [("a", "b", by)], "{more}");
    }
    // A policy that denies, and one that is for everybody, tell of no call.
    for none in [
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: b, namespace: n}\nspec: {action: DENY, selector: {matchLabels: {app: b}}, rules: [{from: [{source: {principals: [cluster.local/ns/n/sa/sa-a]}}]}]}\n",
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n}\nspec: {egress: [{hosts: [./*]}]}\n",
    ] {
        let graph = lint_text(&(base.clone() + none))
            .graph
            .expect("it was asked for");
        assert_eq!(graph.calls, [], "{none}");
    }
}

#[test]
fn calls_in_a_circle_end() {
    let service = |name: &str, calls: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: n, annotations: {{llmesh.io/calls: {calls}}}}}\nspec: {{ports: [{{port: 80, name: http}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: n}}\nspec: {{hosts: [{name}], http: [{{timeout: 1s, retries: {{attempts: 1, retryOn: 5xx}}, route: [{{destination: {{host: {name}}}}}]}}]}}\n---\n"
        )
    };
    let loaded = lint_text(&(service("a", "b") + &service("b", "c") + &service("c", "a")));
    let graph = loaded.graph.expect("it was asked for");
    assert_eq!(graph.calls.len(), 3);
    for call in &graph.calls {
        assert!(call.amplification <= 8.0, "{call:?}");
    }
    assert_eq!(graph.to_text().lines().count(), 4);
    assert!(graph.to_svg().ends_with("</svg>\n"));
}

#[test]
fn an_annotation_says_what_is_known() {
    let sidecar = |ignore: &str| {
        lint_text(&format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a, namespace: n, annotations: {{llmesh.io/ignore: \"{ignore}\"}}}}\nspec: {{host: a, trafficPolicy: {{outlierDetection: {{consecutive5xxErrors: 0}}}}}}\n"
        ))
    };
    assert_eq!(of(&sidecar("unknown-host"), "breaker-never-fires").len(), 1);
    let known = sidecar("unknown-host, breaker-never-fires");
    assert!(of(&known, "breaker-never-fires").is_empty());
    assert_eq!(known.ignored, 2);
    assert!(of(&sidecar("all"), "breaker-never-fires").is_empty());
    let misspelt = sidecar("breaker-never-fire");
    let found = of(&misspelt, "unknown-annotation");
    assert_eq!(found[0].hint, "did you mean breaker-never-fires?");
    // An error stays one.
    let error = lint_text(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: n, annotations: {llmesh.io/ignore: all}}\nspec: {egress: [{hosts: [./a]}]}\n",
    );
    assert_eq!(error.count(Severity::Error), 1);
    assert!(error.model.is_none());
}

#[test]
fn what_is_not_asked_for_is_not_looked_at() {
    let sources = read_paths(
        &[Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/storm")],
        &[],
    );
    let loaded = load(&sources.expect("it can be read"), &Options::default());
    assert!(loaded.graph.is_none() && of(&loaded, "retry-amplification").is_empty());
}

#[test]
fn budgets_bound_what_chains_come_to() {
    let storm = |budget: &str| {
        let service = |name: &str, calls: &str| {
            format!(
                "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: n{calls}}}\nspec: {{ports: [{{port: 80, name: http}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: n}}\nspec: {{hosts: [{name}], http: [{{timeout: 1s, retries: {{attempts: 2, retryOn: 5xx}}, route: [{{destination: {{host: {name}}}}}]}}]}}\n---\n"
            )
        };
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: b, namespace: n}}\nspec: {{host: b, trafficPolicy: {{outlierDetection: {{}}{budget}}}}}\n"
        );
        lint_text(
            &(service("a", ", annotations: {llmesh.io/calls: b}")
                + &service("b", ", annotations: {llmesh.io/calls: c}")
                + &service("c", "")
                + &rule),
        )
    };
    assert_eq!(of(&storm(""), "retry-amplification").len(), 1);
    assert!(
        of(
            &storm(", retryBudget: {percent: 20}"),
            "retry-amplification"
        )
        .is_empty()
    );
}
