//! Calls that may take for ever.

use crate::config::lint::call::{Call, SAID};
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
        id: "call-without-timeout",
        severity: Severity::Warning,
        istio: "",
        why: "A callee that hangs holds a request, a connection and memory of the caller for each call, until the caller hangs too. Istio gives no timeout by default.",
        fix: "Add `timeout` to the rule of the VirtualService, or a VirtualService where there is none.",
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
    retries: {attempts: 0}
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
    timeout: 2s
    retries: {attempts: 0}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    let timed = |call: &Call<'_>| call.terms.iter().any(|terms| terms.timeout.is_some());
    let some = mesh.calls.iter().any(timed);
    for call in mesh.calls.iter().filter(|call| some || call.by == SAID) {
        for terms in call.terms.iter().filter(|terms| terms.timeout.is_none()) {
            let [caller, callee] =
                [call.caller, call.callee].map(|node| mesh.nodes[node].name.as_str());
            let message = if terms.written {
                format!(
                    "{caller} calls {callee}{} without a timeout: a call may take for ever",
                    terms.named()
                )
            } else {
                format!(
                    "{caller} calls {callee} without a timeout: no VirtualService gives one, and a call may take for ever"
                )
            };
            let hint =
                "add `timeout`, longer than a good call takes and shorter than the caller's own";
            found.add(terms.place, message, hint);
        }
    }
}
