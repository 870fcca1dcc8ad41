//! A breaker that works only while every endpoint is there.

use crate::config::{
    diagnostic::Severity,
    lint::{
        breakers::{Breaker, blocks},
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "ejection-at-its-limit",
        severity: Severity::Warning,
        istio: "",
        why: "With exactly as many endpoints as `maxEjectionPercent` asks for, one pod that is restarted, drained or scaled away makes the breaker useless: (ejected + 1) / endpoints is then above the limit.",
        fix: "Raise `maxEjectionPercent` so that one endpoint may go with one endpoint fewer.",
        bad: r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: vectors, namespace: ai}
spec:
  replicas: 4
  template: {metadata: {labels: {app: vectors}}, spec: {}}
---
apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {selector: {app: vectors}, ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    outlierDetection: {maxEjectionPercent: 30}
"#,
        good: r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: vectors, namespace: ai}
spec:
  replicas: 4
  template: {metadata: {labels: {app: vectors}}, spec: {}}
---
apiVersion: v1
kind: Service
metadata: {name: vectors, namespace: ai}
spec: {selector: {app: vectors}, ports: [{port: 80, name: http}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    outlierDetection: {maxEjectionPercent: 50}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for Breaker {
        block, endpoints, ..
    } in blocks(mesh)
    {
        let count = endpoints.unwrap_or_default();
        let max = block.params.max_ejection_percent;
        let fewer = count.saturating_sub(1);
        // Of two endpoints the last one is not worth an ejection.
        if fewer < 2 || max * count < 100 || max * fewer >= 100 {
            continue;
        }
        let one = 100_u32.div_ceil(fewer);
        let message = format!(
            "`maxEjectionPercent: {max}` lets one of {count} endpoints go, and none of {fewer}: while one is restarted nothing is ejected"
        );
        found.add(&block.place, message, format!("at least {one}"));
    }
}
