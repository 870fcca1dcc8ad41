//! Principals and namespaces in one source, where one of them has no effect.

use crate::config::lint::calls::account;
use crate::config::{
    diagnostic::Severity,
    lint::{
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "sources-are-anded",
        severity: Severity::Warning,
        istio: "",
        why: "The fields of one `source` must all hold. A namespace beside principals of that namespace lets nobody else in; beside principals of another it lets nobody in at all.",
        fix: "For either of them write two entries under `from`, each with a `source` of its own.",
        bad: r#"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: vectors, namespace: ai}
spec:
  selector: {matchLabels: {app: vectors}}
  rules:
  - from:
    - source:
        principals: [cluster.local/ns/ai/sa/chat]
        namespaces: [ai]
"#,
        good: r#"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: vectors, namespace: ai}
spec:
  selector: {matchLabels: {app: vectors}}
  rules:
  - from:
    - source: {principals: [cluster.local/ns/ai/sa/chat]}
    - source: {namespaces: [ai]}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for source in mesh
        .facts()
        .authorizations
        .iter()
        .flat_map(|policy| &policy.sources)
    {
        let principals: Option<Vec<_>> = source.principals.iter().map(|p| account(p)).collect();
        let Some(principals) = principals.filter(|all| !all.is_empty()) else {
            continue;
        };
        if source.namespaces.is_empty() || source.namespaces.iter().any(|n| n.contains('*')) {
            continue;
        }
        let own = |(namespace, _): &(&str, &str)| source.namespaces.iter().any(|n| n == namespace);
        let spaces = source.namespaces.join(", ");
        let message = if principals.iter().all(own) {
            format!(
                "`principals` and `namespaces` must both hold: only these principals pass, others of {spaces} do not"
            )
        } else if !principals.iter().any(own) {
            format!(
                "`principals` and `namespaces` must both hold, and no principal here is of {spaces}: nobody passes"
            )
        } else {
            continue;
        };
        let hint = "two entries under `from`, each with a `source`, if either is to do";
        found.add(&source.place, message, hint);
    }
}
