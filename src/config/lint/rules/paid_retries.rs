//! Calls that cost money, and are paid again with each retry.

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
        id: "paid-call-retried",
        severity: Severity::Warning,
        istio: "",
        why: "A provider bills what it generates, whether or not the answer arrives. A try that is cut by its timeout has been paid, and the next is paid as well: in an outage the bill multiplies with the load.",
        fix: "Bound the retries by a budget (`retries.budget` of the LlmPolicy, or `retryBudget`), or retry only what never reached the model.",
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
    retries: {attempts: 3, perTryTimeout: 10s, retryOn: "5xx,reset"}
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
  retries: {budget: {percent: 20, minPerSecond: 3}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: llm, namespace: ai}
spec:
  hosts: [llm]
  http:
  - route: [{destination: {host: llm}}]
    timeout: 60s
    retries: {attempts: 3, perTryTimeout: 10s, retryOn: "5xx,reset"}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for call in mesh
        .calls
        .iter()
        .filter(|call| mesh.nodes[call.callee].paid)
    {
        for terms in call
            .terms
            .iter()
            .filter(|terms| terms.written && !terms.stream)
        {
            let sends = terms.sends_after_work();
            if sends < 2 || terms.budget().is_some() {
                continue;
            }
            let callee = &mesh.nodes[call.callee].name;
            let message = format!(
                "calls to {callee} cost money, and one that fails late{} is sent, and paid, up to {sends} times, without a budget",
                terms.named()
            );
            let hint = "`retries: {budget: {percent: 20, minPerSecond: 3}}` in the LlmPolicy";
            found.add(terms.place, message, hint);
        }
    }
}
