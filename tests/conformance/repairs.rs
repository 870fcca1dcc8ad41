//! Mechanical repairs: what changes, and that nothing else does.

use std::path::Path;

use llmesh::config::{Options, Severity, Source, fix, load, read_paths, repairable, rule};

use crate::folder;

fn fixed(text: &str) -> String {
    let sources = [Source::new("a.yaml", text)];
    let fixed = fix(&sources, &Options::default(), None);
    fixed
        .into_iter()
        .next()
        .map_or_else(|| text.to_owned(), |one| one.text)
}

#[test]
fn each_kind_of_repair() {
    let service = |rule: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: n}}\nspec:\n  hosts: [a]\n  http:\n  - route: [{{destination: {{host: a}}}}] # all\n    {rule}\n"
        )
    };
    for (bad, good) in [
        ("timeout: 30   # s", "timeout: 30s   # s"),
        ("timout: 30s", "timeout: 30s"),
        (
            "retries: {attempts: \"2\", retryOn: 5xx}",
            "retries: {attempts: 2, retryOn: 5xx}",
        ),
        (
            "retries: {attempts: 2, retryOn: '5xx,resett'}",
            "retries: {attempts: 2, retryOn: '5xx,reset'}",
        ),
        (
            "retries: {atempts: 2, perTryTimeout: 5}",
            "retries: {attempts: 2, perTryTimeout: 5s}",
        ),
    ] {
        assert_eq!(fixed(&service(bad)), service(good));
        let after = load(&[Source::new("a.yaml", service(good))], &Options::default());
        assert_eq!(after.count(Severity::Error), 0, "{good}");
    }
    // What is not plain is left to people.
    for left in ["timeout: 30000", "timeout: soon", "zzz: 1"] {
        assert_eq!(fixed(&service(left)), service(left));
    }
}

#[test]
fn breakers_and_budgets_in_blocks_and_in_braces() {
    let mesh = |policy: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a, namespace: n, annotations: {{llmesh.io/calls: b}}}}\nspec: {{hosts: [a.n.svc.cluster.local], resolution: STATIC, ports: [{{number: 80, name: http}}], endpoints: [{{address: 10.0.0.1}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: b, namespace: n}}\nspec: {{hosts: [b.n.svc.cluster.local], resolution: STATIC, ports: [{{number: 80, name: http}}], endpoints: [{{address: 10.0.0.1}}, {{address: 10.0.0.2}}, {{address: 10.0.0.3}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: b, namespace: n}}\nspec: {{hosts: [b], http: [{{timeout: 9s, retries: {{attempts: 5, retryOn: 5xx}}, route: [{{destination: {{host: b}}}}]}}]}}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: b, namespace: n}}\nspec:\n  host: b\n  # what holds\n{policy}"
        )
    };
    let budget = "retryBudget: {percent: 20, minRetryConcurrency: 3}";
    for (bad, good) in [
        (
            "  trafficPolicy:\n    # ours\n    outlierDetection:\n      interval: 5s # quick\n"
                .to_owned(),
            format!(
                "  trafficPolicy:\n    # ours\n    {budget}\n    outlierDetection:\n      maxEjectionPercent: 34\n      interval: 5s # quick\n"
            ),
        ),
        (
            "  trafficPolicy: {outlierDetection: {interval: 5s, maxEjectionPercent: 10}} # x\n"
                .to_owned(),
            format!(
                "  trafficPolicy: {{{budget}, outlierDetection: {{interval: 5s, maxEjectionPercent: 34}}}} # x\n"
            ),
        ),
    ] {
        // With three endpoints 34 lets one go while all are there; with two it takes 50.
        let repaired = fixed(&mesh(&bad));
        assert_eq!(repaired.replace(": 50", ": 34"), mesh(&good));
    }
}

#[test]
fn the_reference_sidecar_is_repaired_and_its_comments_stay() {
    let mut sources = read_paths(&[folder()], &[]).expect("it can be read");
    sources.retain(|source| source.name.contains("/20-"));
    let before = sources[0].text.clone();
    let after = fix(&sources, &Options::default(), None).remove(0);
    assert_eq!(after.repaired.len(), 2);
    assert_eq!(
        load(
            &[Source::new("20", after.text.clone())],
            &Options::default()
        )
        .count(Severity::Error),
        0
    );
    let changed = before
        .lines()
        .zip(after.text.lines())
        .filter(|(a, b)| a != b);
    assert_eq!(changed.count(), 2);
    assert_eq!(before.lines().count(), after.text.lines().count());
}

#[test]
fn repairing_twice_changes_nothing_more_and_adds_no_error() {
    let storm = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/storm");
    for path in [storm, folder()] {
        let mut sources = read_paths(&[path], &[]).expect("it can be read");
        let before = load(&sources, &Options::default()).count(Severity::Error);
        for one in fix(&sources, &Options::default(), None) {
            sources[one.source].text = one.text;
        }
        assert_eq!(fix(&sources, &Options::default(), None), []);
        assert!(load(&sources, &Options::default()).count(Severity::Error) <= before);
    }
}

#[test]
fn one_rule_alone() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: n}\nspec:\n  hosts: [a]\n  http:\n  - route: [{destination: {host: a}}]\n    timout: 3s\n    retries: {attempts: 1, perTryTimeout: 2}\n";
    let fixed = fix(
        &[Source::new("a.yaml", text)],
        &Options::default(),
        Some("bad-duration"),
    );
    assert!(fixed[0].text.contains("perTryTimeout: 2s") && fixed[0].text.contains("timout: 3s"));
    for id in repairable() {
        assert!(rule(id).is_some(), "{id}");
    }
}
