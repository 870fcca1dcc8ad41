//! ExternalName Services: other names of hosts.
//!
//! One that names a host of the mesh, a Service or a ServiceEntry, is an alias of it (Istio 1.21 and later): what is sent
//! to it takes that host's routes, rules and endpoints. One that names another host is resolved by DNS. Neither has a
//! target port: the name stands for a host, not for a port of it.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::{Known, Registry};
use crate::{
    config::{
        diagnostic::Report,
        istio::service_entry::{PortProtocol, ServicePort},
        k8s::Service,
        names,
    },
    model::{Endpoint, Protocol},
};

/// Where a name leads.
enum End<'s> {
    Host(&'s str),
    /// Back to a name before it.
    Cycle(Vec<String>),
}

// === impl Registry ===

impl Registry {
    /// Adds the services that are names of others, once all others are known. A host that is known already stays what it
    /// is.
    pub(super) fn add_external(&mut self, services: &[Service], report: &Report) {
        let host = |s: &Service| names::fqdn(&s.origin.name, &s.origin.namespace);
        let external = services.iter().filter_map(|service| {
            let name = service.external_name.as_deref()?;
            Some((host(service), (name, service)))
        });
        let external: BTreeMap<_, _> = external
            .filter(|(host, _)| !self.services.contains_key(host))
            .collect();
        for (host, (_, service)) in &external {
            let mut known = Known::new(&service.origin.namespace, service.place.clone());
            known.ports = ports(service);
            match end(host, &external) {
                End::Host(end) if self.services.contains_key(end) => {
                    known.alias_of = Some(end.to_owned());
                }
                End::Host(end) => {
                    for port in &known.ports {
                        let endpoint = Endpoint::new(end, port.number);
                        known.endpoints.insert(port.number, vec![endpoint]);
                    }
                    known.resolve_names();
                    known.server_name = Some(end.to_owned());
                }
                End::Cycle(chain) => {
                    let message = format!(
                        "its external name leads back to itself ({}): its requests are answered 503 (UH)",
                        chain.join(" → ")
                    );
                    let hint = "let the last of them name a host";
                    report.warn(&service.place, "external-name-cycle", message, hint);
                }
            }
            self.services.insert(host.clone(), known);
        }
    }

    /// The service that a host stands for: itself, unless it is an alias.
    pub(super) fn concrete<'r>(&'r self, host: &'r str) -> Option<(&'r str, &'r Known)> {
        let known = self.services.get(host)?;
        match known.alias_of.as_deref() {
            Some(host) => Some((host, self.services.get(host)?)),
            None => Some((host, known)),
        }
    }

    /// The other names of a host.
    pub(super) fn aliases_of<'r>(&'r self, host: &'r str) -> impl Iterator<Item = &'r str> {
        let all = self.services.iter();
        all.filter(move |(_, known)| known.alias_of.as_deref() == Some(host))
            .map(|(alias, _)| alias.as_str())
    }
}

fn end<'s>(host: &str, external: &BTreeMap<String, (&'s str, &'s Service)>) -> End<'s> {
    let mut chain = vec![host.to_owned()];
    let mut seen = BTreeSet::from([host]);
    let Some((mut name, _)) = external.get(host).copied() else {
        return End::Cycle(chain);
    };
    while let Some((next, _)) = external.get(name) {
        chain.push(name.to_owned());
        if !seen.insert(name) {
            return End::Cycle(chain);
        }
        name = next;
    }
    End::Host(name)
}

/// Its ports, each its own target; 80 where it names none, as most such Services do.
fn ports(service: &Service) -> Vec<ServicePort> {
    if service.ports.is_empty() {
        return vec![ServicePort {
            number: 80,
            name: "http".to_owned(),
            target: None,
            protocol: PortProtocol::Http(Protocol::Http1),
            tls: false,
            says_http: false,
            place: service.place.clone(),
        }];
    }
    let own = service.ports.iter().cloned();
    own.map(|port| ServicePort {
        target: None,
        ..port
    })
    .collect()
}
