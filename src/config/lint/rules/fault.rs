//! Faults that every request may get.

use std::collections::HashSet;

use crate::config::layer::Layer;
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
        id: "fault-left-on",
        severity: Severity::Warning,
        istio: "",
        why: "A fault is an experiment. In an ordinary file it stays, and is found when it is looked for last.",
        fix: "Take it out of the ordinary files. `llmesh run --overlay FILE` lays it over them, and ends it when the file goes.",
        bad: r#"apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    fault: {abort: {httpStatus: 503, percentage: {value: 30}}}
"#,
        good: r#"apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vectors, namespace: ai}
spec:
  hosts: [vectors]
  http:
  - route: [{destination: {host: vectors}}]
    timeout: 2s
"#,
    },
    run,
};

fn run(mesh: &Mesh<'_>, found: &Findings<'_>) {
    let winners: HashSet<_> = mesh
        .resources
        .virtual_services
        .iter()
        .filter(|service| service.mesh && mesh.serves(service))
        .map(|service| service.origin.id())
        .collect();
    for fault in mesh.facts().faults.iter().filter(|fault| !fault.for_some) {
        let origin = &fault.place.origin;
        if origin.layer == Layer::File && winners.contains(&origin.id()) {
            let message = format!("a fault is left on for all requests: {}", fault.what);
            found.add(
                &fault.place,
                message,
                "move it to a file of its own, and lay it over the others with --overlay",
            );
        }
    }
}
