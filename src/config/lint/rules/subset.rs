//! Subsets that no workload belongs to.

use crate::config::lint::facts::Labels;
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
        id: "subset-without-workload",
        severity: Severity::Warning,
        istio: "IST0173",
        why: "Requests to a subset without endpoints are answered 503 (UH). The labels of a subset are those of pods, not of Deployments.",
        fix: "Write the labels that the pods' template has, or deploy the version before it gets traffic.",
        bad: r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: vectors, namespace: ai}
spec:
  replicas: 2
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
  subsets: [{name: v2, labels: {version: v2}}]
"#,
        good: r#"apiVersion: apps/v1
kind: Deployment
metadata: {name: vectors, namespace: ai}
spec:
  replicas: 2
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
  subsets: [{name: v2, labels: {app: vectors}}]
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for rule in &mesh.resources.destination_rules {
        let Some(known) = mesh.registry.services.get(&rule.host) else {
            continue;
        };
        let none = Labels::new();
        let of_host = |labels| {
            mesh.members(&known.namespace, labels)
                .filter(|m| m.host == rule.host)
        };
        // What addresses there are is looked at when the mesh is linked.
        if of_host(&none).all(|member| member.template.is_none()) || !known.endpoints.is_empty() {
            continue;
        }
        for subset in &rule.subsets {
            if of_host(&subset.labels).next().is_none() {
                let labels: Vec<_> = subset
                    .labels
                    .iter()
                    .map(|(k, v)| format!("{k}={v}"))
                    .collect();
                let message = format!(
                    "no workload of {} has the labels of the subset `{}` ({}): its requests are answered 503 (UH)",
                    rule.host,
                    subset.name,
                    labels.join(", ")
                );
                found.add(&subset.place, message, "the labels of the pods' template");
            }
        }
    }
}
