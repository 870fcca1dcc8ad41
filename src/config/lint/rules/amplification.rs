//! Retries on top of retries: the product along a chain of calls.

use crate::config::lint::chains::{Chains, Hop, OWN_BUDGET, worst_terms};
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
        id: "retry-amplification",
        severity: Severity::Warning,
        istio: "",
        why: "Each hop that retries multiplies the load on everything behind it. Three tries at each of three hops are 27 sends of one request, sent to what has just failed: it cannot come back, and an outage of one service becomes one of all.",
        fix: "Retry at one hop, the one next to what fails. Give the others `attempts: 0`, or a `retryBudget` in the DestinationRule (20 % makes 1.2 of each hop).",
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
    timeout: 10s
    retries: {attempts: 3, perTryTimeout: 1s, retryOn: "5xx,reset"}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 2s
    retries: {attempts: 5, perTryTimeout: 1s, retryOn: "5xx,reset"}
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
    timeout: 10s
    retries: {attempts: 0}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 2s
    retries: {attempts: 2, perTryTimeout: 1s, retryOn: "5xx,reset"}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    let chains = Chains::of(mesh);
    for (index, call) in mesh.calls.iter().enumerate() {
        let chain = chains.to(index);
        let sends = product(&chain, |hop| hop.sends);
        let further = mesh.calls_from(call.callee).any(|(next, _)| {
            let longer = chains.to(next);
            longer.iter().any(|hop| hop.call == index) && product(&longer, |hop| hop.sends) > sends
        });
        let unbounded = chain
            .iter()
            .filter(|hop| hop.sends > 1.0 && hop.bounded >= hop.sends);
        if further || unbounded.count() < 2 {
            continue;
        }
        let name = |node: usize| mesh.nodes[node].name.as_str();
        let hops = chain.iter().map(|hop| {
            let call = &mesh.calls[hop.call];
            format!(
                "{} to {}: {}",
                name(call.caller),
                name(call.callee),
                hop.sends
            )
        });
        let hops: Vec<_> = hops.collect();
        let first = chain
            .first()
            .map_or("", |hop| name(mesh.calls[hop.call].caller));
        let message = format!(
            "when {} fails, one request of {first} is sent to it {sends} times{} ({}); {}",
            name(call.callee),
            each(&chain),
            hops.join(", "),
            bound(&chain, sends)
        );
        let place = worst_terms(call, true).map_or(&call.place, |terms| terms.place);
        let hint = "retry at one hop only: `attempts: 0`, or a `retryBudget`, for the others";
        found.add(place, message, hint);
    }
}

fn product(chain: &[Hop], of: impl Fn(&Hop) -> f64) -> f64 {
    chain.iter().map(of).product()
}

/// Where one request is several calls further on.
fn each(chain: &[Hop]) -> String {
    let times = product(chain, |hop| hop.times);
    if times > 1.0 {
        format!(" for each of the {times} calls that it comes to")
    } else {
        String::new()
    }
}

fn bound(chain: &[Hop], sends: f64) -> String {
    let bounded = product(chain, |hop| hop.bounded);
    if bounded < sends {
        return format!("the budgets that are written make it {bounded:.2} on average");
    }
    let own = product(chain, |hop| hop.sends.min(1.0 + OWN_BUDGET));
    format!(
        "no budget is written, and only llmesh's own of 20 % a hop makes it {own:.2} on average"
    )
}
