//! Settings that are lost where a block takes the place of another as a whole.

use crate::config::istio::{outlier::OutlierBlock, traffic_policy::TrafficPolicy};
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
        id: "block-replaced",
        severity: Severity::Warning,
        istio: "",
        why: "A subset's or port's block replaces the block above as a whole; nothing is merged inside. What it leaves out falls back to Envoy's defaults, not to what stands above.",
        fix: "Repeat in the inner block what it is to keep.",
        bad: r#"apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 50}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {outlierDetection: {interval: 5s}}
"#,
        good: r#"apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: vectors, namespace: ai}
spec:
  host: vectors
  trafficPolicy:
    outlierDetection: {consecutive5xxErrors: 3, maxEjectionPercent: 50}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {outlierDetection: {interval: 5s, consecutive5xxErrors: 3, maxEjectionPercent: 50}}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for rule in &mesh.resources.destination_rules {
        let Some(top) = &rule.policy else { continue };
        for subset in &rule.subsets {
            let own = subset
                .policy
                .as_ref()
                .and_then(|policy| policy.outlier.as_ref());
            if let (Some(top), Some(own)) = (&top.outlier, own) {
                let which = format!("subset `{}`", subset.name);
                outlier(top, own, &which, found);
            }
        }
        for (port, entry) in &top.ports {
            ports(top, *port, entry, found);
        }
    }
}

fn outlier(top: &OutlierBlock, own: &OutlierBlock, which: &str, found: &Findings<'_>) {
    let lost: Vec<_> = top
        .given
        .iter()
        .filter(|name| !own.given.contains(name))
        .map(String::as_str)
        .collect();
    if !lost.is_empty() {
        let message = format!(
            "its `outlierDetection` replaces the one above as a whole; {which} loses: {}",
            lost.join(", ")
        );
        found.add(&own.place, message, "repeat in it what it is to keep");
    }
}

/// A port's entry replaces all blocks that an entry can have, those too that it does not give.
fn ports(top: &TrafficPolicy, port: u16, entry: &TrafficPolicy, found: &Findings<'_>) {
    let blocks = [
        ("connectionPool", top.pool.is_some(), entry.pool.is_some()),
        (
            "outlierDetection",
            top.outlier.is_some(),
            entry.outlier.is_some(),
        ),
        ("tls", top.tls.is_some(), entry.tls.is_some()),
    ];
    let lost: Vec<_> = blocks
        .iter()
        .filter(|(_, above, here)| *above && !here)
        .map(|(name, ..)| *name)
        .collect();
    let places = [
        entry.pool.as_ref().map(|b| &b.place),
        entry.outlier.as_ref().map(|b| &b.place),
    ];
    let place = places.into_iter().flatten().next();
    let above = [
        top.pool.as_ref().map(|b| &b.place),
        top.outlier.as_ref().map(|b| &b.place),
    ];
    if let (Some(place), false) = (
        place.or_else(|| above.into_iter().flatten().next()),
        lost.is_empty(),
    ) {
        let message = format!(
            "the settings of port {port} replace all blocks above; it loses: {}",
            lost.join(", ")
        );
        found.add(place, message, "repeat in them what the port is to keep");
    }
}
