//! Calls between two services that nothing breaks.

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
        id: "call-without-breaker",
        severity: Severity::Warning,
        istio: "",
        why: "Without `outlierDetection` an endpoint that fails keeps its share of the calls, and every one of them fails or waits out its timeout.",
        fix: "Add `outlierDetection` to the `trafficPolicy` of the callee's DestinationRule, with a `maxEjectionPercent` that lets at least one endpoint go.",
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
    timeout: 2s
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
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 5, maxEjectionPercent: 50}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    let legs = |call: &Call<'_>| {
        call.terms
            .iter()
            .flat_map(|t| &t.legs)
            .any(|leg| leg.outlier.is_some())
    };
    let some = mesh.calls.iter().any(legs);
    for call in mesh.calls.iter().filter(|call| some || call.by == SAID) {
        let all = call
            .terms
            .iter()
            .flat_map(|terms| terms.legs.iter().map(move |leg| (terms, leg)));
        for (terms, leg) in all.filter(|(_, leg)| leg.outlier.is_none()) {
            let [caller, callee] =
                [call.caller, call.callee].map(|node| mesh.nodes[node].name.as_str());
            let subset = leg
                .subset
                .map_or_else(String::new, |subset| format!(" (subset {subset})"));
            let message = format!(
                "nothing breaks calls of {caller} to {callee}{subset}: an endpoint that fails keeps getting its share"
            );
            let place = leg.rule.map_or(terms.place, |rule| &rule.first.place);
            let hint = "add `outlierDetection: {consecutive5xxErrors: 5, maxEjectionPercent: 50}` to its DestinationRule";
            found.add(place, message, hint);
        }
    }
}
