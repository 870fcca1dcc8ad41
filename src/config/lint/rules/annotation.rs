//! Annotations that nobody reads.

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
        id: "unknown-annotation",
        severity: Severity::Warning,
        istio: "IST0108",
        why: "Kubernetes takes any annotation. One that is misspelt, or that only people believe in, has no effect and no error.",
        fix: "Use the name that is read.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai, annotations: {llmesh.io/call: chat}}
spec: {ports: [{port: 80, name: http}]}
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for (place, message, hint) in &mesh.facts().unread {
        found.add(place, message.as_str(), *hint);
    }
    for (name, place) in &mesh.facts().odd {
        let message = format!("`{name}` is no annotation of Istio's: it has no effect");
        found.add(
            place,
            message,
            "`proxy.istio.io/config: \"concurrency: N\"`",
        );
    }
}
