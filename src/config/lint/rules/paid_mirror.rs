//! Copies of calls that cost money.

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
        id: "paid-call-mirrored",
        severity: Severity::Warning,
        istio: "",
        why: "A mirrored LLM call is a second LLM call: it is generated, billed and counted against the quota, and its answer is thrown away.",
        fix: "Mirror a small share (`mirrorPercentage: {value: 1}`), or to a model that costs nothing.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "llm"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: llm, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  dialect: openai
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  http:
  - route: [{destination: {host: llm}}]
    timeout: 60s
    mirror: {host: llm}
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "llm"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: llm, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: llmesh.io/v1alpha1
kind: LlmPolicy
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  dialect: openai
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  http:
  - route: [{destination: {host: llm}}]
    timeout: 60s
    mirror: {host: llm}
    mirrorPercentage: {value: 1}
"#,
    },
    run,
};

/// A share in percent that is there to look, not to double.
const SMALL: f64 = 5.0;

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for mirror in mesh
        .facts()
        .mirrors
        .iter()
        .filter(|mirror| mirror.percent > SMALL)
    {
        let known = mesh.registry.services.get(&mirror.host);
        let namespace = known.map_or("", |known| known.namespace.as_str());
        if mesh.is_paid(&mirror.host, namespace) {
            let message = format!(
                "{} % of the calls are copied to {}, which costs money: each copy is generated and paid, and thrown away",
                mirror.percent, mirror.host
            );
            found.add(&mirror.place, message, "`mirrorPercentage: {value: 1}`");
        }
    }
}
