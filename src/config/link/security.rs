//! Security policies, and the workloads they may be about.

use std::collections::BTreeMap;

use super::{labels::contains, registry::Registry};
use crate::{
    config::{names, options::Options, reader::Resources},
    model::{Security, Workload},
};

/// The policies of the files and the workloads that the files tell of.
pub(super) fn security(
    resources: &Resources,
    registry: &Registry,
    options: &Options,
    namespace: &str,
) -> Security {
    let policies = resources.security.policies.iter();
    let peers = resources.security.peers.iter();
    let mut security = Security {
        policies: policies.map(|(policy, _)| policy.clone()).collect(),
        peers: peers.map(|(policy, _)| policy.clone()).collect(),
        ..Security::default()
    };
    namespace.clone_into(&mut security.namespace);
    security.labels.clone_from(&options.workload_labels);
    security.workloads = workloads(resources, registry);
    security
}

/// Those behind services, by their endpoints and by pods that a Service selects, and pods of no service.
fn workloads(resources: &Resources, registry: &Registry) -> Vec<Workload> {
    let mut all: Vec<Workload> = Vec::new();
    let mut add = |host: &str, namespace: &str, labels: &BTreeMap<_, _>, account: &str, port| {
        let known = all
            .iter_mut()
            .find(|w| &*w.host == host && w.labels == *labels && &*w.account == account);
        let workload = match known {
            Some(known) => known,
            None => {
                let mut new = Workload::new(host, namespace, account);
                new.labels.clone_from(labels);
                all.push(new);
                let Some(new) = all.last_mut() else { return };
                new
            }
        };
        workload.ports.extend(port);
    };
    for service in &resources.services {
        let Some(selector) = service.selector.as_ref().filter(|s| !s.is_empty()) else {
            continue;
        };
        let namespace = service.origin.namespace.as_str();
        let host = names::fqdn(&service.origin.name, namespace);
        for pod in &resources.templates {
            if pod.origin.namespace == namespace && contains(&pod.labels, selector) {
                for port in &service.ports {
                    let port = (port.number, port.target.unwrap_or(port.number));
                    add(
                        &host,
                        namespace,
                        &pod.labels,
                        &pod.service_account,
                        Some(port),
                    );
                }
            }
        }
    }
    for (host, known) in &registry.services {
        for (port, endpoints) in &known.endpoints {
            for endpoint in endpoints {
                let account = endpoint.service_account.as_deref().unwrap_or("default");
                let port = Some((*port, endpoint.port));
                add(host, &known.namespace, &endpoint.labels, account, port);
            }
        }
    }
    for pod in &resources.templates {
        let namespace = pod.origin.namespace.as_str();
        add("", namespace, &pod.labels, &pod.service_account, None);
    }
    let mut served: Vec<Workload> = Vec::new();
    for workload in all {
        let of_service = |w: &Workload| {
            w.labels == workload.labels
                && w.account == workload.account
                && w.namespace == workload.namespace
        };
        if !workload.host.is_empty() || !served.iter().any(of_service) {
            served.push(workload);
        }
    }
    served
}
