//! A breaker that cannot fire.

use crate::config::{
    diagnostic::Severity,
    lint::{
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};
use crate::config::{istio::outlier::OutlierBlock, lint::breakers::blocks};

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "breaker-never-fires",
        severity: Severity::Warning,
        istio: "",
        why: "An `outlierDetection` that counts nothing, may eject nobody, or ejects into panic, where ejections are ignored, is none.",
        fix: "Give it a threshold, a `maxEjectionPercent` of at least 100 / endpoints, and a `minHealthPercent` below what is left after one ejection.",
        bad: r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: vectors, namespace: ai}
spec:
  replicas: 3
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
  replicas: 3
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
    outlierDetection: {maxEjectionPercent: 34}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for breaker in blocks(mesh) {
        let known = mesh.registry.services.get(&breaker.rule.host);
        let addresses =
            known.is_some_and(|known| known.endpoints.values().any(|all| !all.is_empty()));
        if let Some((message, hint)) = why(breaker.block, breaker.endpoints, addresses) {
            found.add(&breaker.block.place, message, hint);
        }
    }
}

/// Why no endpoint is ever ejected, and the way out.
fn why(block: &OutlierBlock, count: Option<u32>, addresses: bool) -> Option<(String, String)> {
    let params = &block.params;
    let counts = [params.consecutive_5xx, params.consecutive_gateway];
    if counts == [0, 0] && !(params.split_local && params.consecutive_local > 0) {
        let hint = "`consecutive5xxErrors: 5`, or `consecutiveGatewayErrors`";
        return Some((
            "every threshold is 0: it counts nothing and ejects nobody".to_owned(),
            hint.to_owned(),
        ));
    }
    let max = params.max_ejection_percent;
    if max == 0 {
        return Some((
            "`maxEjectionPercent` is 0: no endpoint may be ejected".to_owned(),
            "raise it".to_owned(),
        ));
    }
    let count = count.filter(|count| *count > 1)?;
    let one = 100_u32.div_ceil(count);
    // Of known addresses this is said already.
    if max * count < 100 && !addresses {
        let message = format!(
            "`maxEjectionPercent: {max}` of {count} pods is none: the first would be {one} %"
        );
        return Some((message, format!("at least {one}")));
    }
    let left = 100 * (count - 1) / count;
    (block.min_health_percent > left).then(|| {
        let message = format!(
            "`minHealthPercent: {}` of {count} endpoints: with one ejected {left} % are left, which is panic, and all are used again",
            block.min_health_percent
        );
        (message, format!("at most {left}"))
    })
}
