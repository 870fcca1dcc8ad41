//! A caller whose timeout is shorter than what it calls waits for others.

use std::time::Duration;

use crate::config::lint::call::{Call, Terms};
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
        id: "caller-gives-up-first",
        severity: Severity::Warning,
        istio: "",
        why: "The caller is gone while the callee still waits: the work goes on for nobody, is paid for, and a retry of the caller starts it once more beside the first.",
        fix: "Give the caller's call at least as long as the longest call that is made for it, or shorten that one. Time runs out from the outside in: each hop inward has less.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: web, namespace: ai, annotations: {llmesh.io/calls: "chat"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
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
metadata: {name: chat, namespace: ai}
spec:
  hosts: [chat]
  http:
  - route: [{destination: {host: chat}}]
    timeout: 3s
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 30s
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: web, namespace: ai, annotations: {llmesh.io/calls: "chat"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
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
metadata: {name: chat, namespace: ai}
spec:
  hosts: [chat]
  http:
  - route: [{destination: {host: chat}}]
    timeout: 3s
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 2s
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for outer in &mesh.calls {
        let Some((limit, terms)) = longest(outer) else {
            continue;
        };
        for inner in mesh.calls_from(outer.callee).map(|(_, call)| call) {
            // A stream is not what a short call waits for, unless nothing else is called.
            let whole = inner.terms.iter().filter(|terms| !terms.stream);
            let waits = whole.filter_map(|terms| Some((terms.timeout?, terms)));
            let Some((wait, waiting)) = waits.max_by_key(|(wait, _)| *wait) else {
                continue;
            };
            if wait <= limit {
                continue;
            }
            let [caller, callee, last] = [outer.caller, outer.callee, inner.callee]
                .map(|node| mesh.nodes[node].name.as_str());
            let (each, again) = match (terms.timeout, terms.retry.per_try_timeout, terms.sends()) {
                (_, Some(_), 2..) => ("a try", "; the next try starts the same once more"),
                _ => ("", ""),
            };
            let message = format!(
                "{caller} gives {} to {callee} {limit:?}, and {callee} waits up to {wait:?} for {last}{} ({}): {caller} is gone by then{again}",
                if each.is_empty() { "a call" } else { each },
                waiting.named(),
                waiting.place,
            );
            let hint = format!("more than {wait:?} here, or less than {limit:?} for {last}");
            found.add(terms.place, message, hint);
        }
    }
}

/// The longest that a call's caller waits for one send, if every route has a limit.
fn longest<'c, 'a>(call: &'c Call<'a>) -> Option<(Duration, &'c Terms<'a>)> {
    let all: Option<Vec<_>> = call
        .terms
        .iter()
        .map(|terms| Some((terms.patience()?, terms)))
        .collect();
    all?.into_iter().max_by_key(|(limit, _)| *limit)
}
