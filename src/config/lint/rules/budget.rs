//! Many retries, and nothing that bounds them together.

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
        id: "retries-without-budget",
        severity: Severity::Warning,
        istio: "",
        why: "Retries help against single failures. In an outage every request fails, and n retries are n + 1 times the load. A budget lets single retries pass and stops the storm.",
        fix: "Add `retryBudget: {percent: 20, minRetryConcurrency: 3}` to the `trafficPolicy` of the DestinationRule, or lower `attempts` to 2.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "vectors"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 6s
    retries: {attempts: 5, perTryTimeout: 1s, retryOn: "5xx,reset"}
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
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 6s
    retries: {attempts: 5, perTryTimeout: 1s, retryOn: "5xx,reset"}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    retryBudget: {percent: 20, minRetryConcurrency: 3}
"#,
    },
    run,
};

/// As many retries as this are not there for single failures.
const MANY: u32 = 4;

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for call in &mesh.calls {
        for terms in call.terms.iter().filter(|terms| terms.written) {
            let retries = terms.sends() - 1;
            if retries < MANY || terms.budget().is_some() {
                continue;
            }
            let callee = &mesh.nodes[call.callee].name;
            let message = format!(
                "{retries} retries{} and no budget: when {callee} fails, it gets {} times the load",
                terms.named(),
                retries + 1
            );
            let hint = "`retryBudget: {percent: 20, minRetryConcurrency: 3}` in the DestinationRule, or at most 2 `attempts`";
            found.add(terms.place, message, hint);
        }
    }
}
