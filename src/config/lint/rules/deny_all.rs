//! A DENY that is for every request.

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
        id: "deny-everything",
        severity: Severity::Warning,
        istio: "",
        why: "DENY is looked at before ALLOW: a DENY rule that asks for nothing refuses every request of its workloads, those too that an ALLOW lets in.",
        fix: "Deny by default is an ALLOW policy without rules: `spec: {}`. It allows nothing, and other ALLOW policies add to it.",
        bad: r#"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: vectors, namespace: ai}
spec:
  action: DENY
  rules: [{}]
"#,
        good: r#"apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: vectors, namespace: ai}
spec:
  {}
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    for policy in mesh
        .facts()
        .authorizations
        .iter()
        .filter(|policy| policy.action == "DENY")
    {
        if let Some(place) = &policy.any_request {
            let whom = if policy.labels.is_empty() {
                "the namespace"
            } else {
                "its workloads"
            };
            let message = format!(
                "this DENY rule asks for nothing, so every request of {whom} is refused, whatever ALLOW policies let in"
            );
            found.add(
                place,
                message,
                "for deny by default: `spec: {}`, an ALLOW policy without rules",
            );
        }
    }
}
