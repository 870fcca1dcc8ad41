//! Waits between tries that the timeout has no room for.

use std::time::Duration;

use crate::config::{
    diagnostic::Severity,
    lint::{
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};
use crate::{config::istio::rule::RuleAction, layers::retry::params::Backoff};

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "waits-exceed-timeout",
        severity: Severity::Warning,
        istio: "",
        why: "The route's timeout runs through the waits too: with long waits the last tries never start.",
        fix: "Shorten `backoff`, `perTryTimeout` or `attempts`, or raise `timeout`.",
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
    timeout: 10s
    retries: {attempts: 2, perTryTimeout: 3s, backoff: 2s}
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
    timeout: 10s
    retries: {attempts: 2, perTryTimeout: 2s, backoff: 500ms}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for service in &mesh.resources.virtual_services {
        for rule in &service.rules {
            let Some(RuleAction::Forward(forward)) = &rule.action else {
                continue;
            };
            let (Some(total), Some(per_try)) = (forward.timeout, forward.retry.per_try_timeout)
            else {
                continue;
            };
            let retries = forward.retry.retries;
            let tries = per_try.saturating_mul(retries.saturating_add(1));
            let waits = mean_waits(&forward.retry.backoff, retries);
            // What does not fit without waits is told already, and a wait of no weight is no news.
            if tries > total || tries + waits <= total || waits.saturating_mul(20) < total {
                continue;
            }
            let message = format!(
                "{} tries of {per_try:?} and the waits between them ({waits:?} on average) do not fit into the timeout of {total:?}",
                retries + 1
            );
            found.add(
                &rule.place,
                message,
                "shorten `backoff`, or raise `timeout`",
            );
        }
    }
}

/// What all waits come to on average: half of each bound.
fn mean_waits(backoff: &Backoff, retries: u32) -> Duration {
    let bound = |n: u32| backoff.base.saturating_mul(1 << n.min(20)).min(backoff.max);
    (0..retries.min(64)).map(|n| bound(n) / 2).sum()
}
