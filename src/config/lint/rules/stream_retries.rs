//! Streams that are sent again.

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
        id: "stream-retried",
        severity: Severity::Warning,
        istio: "",
        why: "A stream that is retried begins from the start: the model generates, and bills, once more, and what ends a stream late is mostly the timeout, which a retry meets again.",
        fix: "`attempts: 0` for streams, or retry only what never reached the model: `retryOn: connect-failure,refused-stream`.",
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
    match: [{headers: {accept: {exact: text/event-stream}}}]
    timeout: 300s
    retries: {attempts: 2, retryOn: "5xx,reset"}
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
    match: [{headers: {accept: {exact: text/event-stream}}}]
    timeout: 300s
    retries: {attempts: 2, retryOn: "connect-failure,refused-stream"}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for call in &mesh.calls {
        for terms in call
            .terms
            .iter()
            .filter(|terms| terms.stream && terms.written)
        {
            let sends = terms.sends_after_work();
            if sends < 2 {
                continue;
            }
            let message = format!(
                "a stream{} that fails is begun again up to {} times: each time the model starts over, and is paid",
                terms.named(),
                sends - 1
            );
            let hint =
                "`retryOn: connect-failure,refused-stream`, which retries only what was not begun";
            found.add(terms.place, message, hint);
        }
    }
}
