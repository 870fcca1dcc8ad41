//! Pools smaller than the concurrency that is asked for.

use crate::config::{
    diagnostic::Severity,
    lint::{
        check::{Check, Findings},
        mesh::Mesh,
        rule::Rule,
    },
};
use crate::model::Protocol;

pub(in crate::config::lint) static CHECK: Check = Check {
    rule: Rule {
        id: "pool-too-small",
        severity: Severity::Warning,
        istio: "",
        why: "Requests in flight are their rate times their latency (Little's law). A pool with fewer places answers the rest 503 (UO), at ordinary load.",
        fix: "Raise `http2MaxRequests` (and `maxConnections` under HTTP/1.1) above rate times latency, with room for slow days.",
        bad: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "vectors 50/s 800ms"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
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
    connectionPool: {http: {http2MaxRequests: 30}}
"#,
        good: r#"apiVersion: v1
kind: Service
metadata: {name: chat, namespace: ai, annotations: {llmesh.io/calls: "vectors 50/s 800ms"}}
spec: {ports: [{port: 80, name: http}]}
---
apiVersion: v1
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
    connectionPool: {http: {http2MaxRequests: 100}}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for call in &mesh.calls {
        let (Some(rate), Some(latency)) = (call.rate, call.latency) else {
            continue;
        };
        for leg in call.terms.iter().flat_map(|terms| &terms.legs) {
            let Some(block) = leg.pool else { continue };
            let needed = rate * latency.as_secs_f64() * leg.share;
            let http2 = block.protocol == Some(Protocol::Http2);
            let limits = [
                ("http2MaxRequests", Some(block.pool.max_requests)),
                (
                    "maxConnections",
                    (!http2).then_some(block.pool.max_connections),
                ),
            ];
            let given = limits
                .into_iter()
                .filter_map(|(name, limit)| Some((name, limit?)));
            let Some((name, limit)) = given.min_by_key(|(_, limit)| *limit) else {
                continue;
            };
            if needed <= f64::from(limit) {
                continue;
            }
            let callee = &mesh.nodes[call.callee].name;
            let message = format!(
                "{rate} calls a second of {latency:?} to {callee} are {:.0} in flight; `{name}` has room for {limit}",
                needed.ceil()
            );
            found.add(
                &block.place,
                message,
                format!("{:.0} or more, twice what is needed", (2.0 * needed).ceil()),
            );
        }
    }
}
