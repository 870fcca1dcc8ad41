//! `maxRetries` that was taken for the number of attempts.

use crate::config::istio::rule::RuleAction;
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
        id: "max-retries-below-attempts",
        severity: Severity::Warning,
        istio: "",
        why: "`maxRetries` of a `connectionPool` limits the retries in flight at one time over all requests. Below the attempts of one request it stops retries as soon as two requests fail together, and lowers no attempts.",
        fix: "Set attempts in the VirtualService (`retries.attempts`), and leave `maxRetries` out or well above the retries in flight on a bad day.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    connectionPool: {http: {maxRetries: 1}}
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    connectionPool: {http: {maxRetries: 10}}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for rule in &mesh.resources.destination_rules {
        let Some(pool) = rule.policy.as_ref().and_then(|policy| policy.pool.as_ref()) else {
            continue;
        };
        if !pool.given.iter().any(|name| name == "http.maxRetries") {
            continue;
        }
        let limit = pool.pool.max_retries;
        let attempts = mesh.claim(&rule.host).map(|service| {
            let forwards = service.rules.iter().filter_map(|rule| match &rule.action {
                Some(RuleAction::Forward(forward)) => Some(forward.retry.retries),
                _ => None,
            });
            forwards.max().unwrap_or_default()
        });
        let most = attempts.unwrap_or(mesh.default_retry.retries);
        if limit >= most {
            continue;
        }
        let of = if attempts.is_some() {
            "its VirtualService gives"
        } else {
            "the default without a VirtualService gives"
        };
        let message = format!(
            "`maxRetries: {limit}` is the retries in flight of all requests together, and {of} each request {most}: two that fail at a time are not both retried"
        );
        let hint = "`retries.attempts` of a VirtualService sets attempts; leave `maxRetries` out, or make it large";
        found.add(&pool.place, message, hint);
    }
}
