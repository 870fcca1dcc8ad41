//! Calls to hosts that nobody knows.

use crate::config::{decode::nearest, lint::call::SAID};
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
        id: "unknown-callee",
        severity: Severity::Warning,
        istio: "",
        why: "A call graph with a name that leads nowhere leaves out what is behind it: its timeouts and retries are not added up.",
        fix: "Write the service's name as it is (`name`, `name.namespace.svc.cluster.local`), or load its Service or ServiceEntry.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "vektors"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "vectors"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for call in mesh.calls.iter().filter(|call| call.by == SAID) {
        let Some(host) = &mesh.nodes[call.callee].host else {
            continue;
        };
        if mesh.registry.services.contains_key(host) || mesh.claim(host).is_some() {
            continue;
        }
        let known = mesh.registry.services.keys().map(String::as_str);
        let hint = nearest(host, known).map_or_else(
            || "load its Service or ServiceEntry".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        found.add(
            &call.place,
            format!("{host} is called, and not known"),
            hint,
        );
    }
}
