//! Virtual hosts: which VirtualService, if any, serves a host.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::{Linker, registry::Known};
use crate::{
    config::{
        diagnostic::Place,
        istio::{service_entry::PortProtocol, virtual_service::VirtualService},
        names,
    },
    layers::{
        deadline,
        route::params::{Action, Destination, Forward, Match, Route},
    },
    model::{ClusterName, VirtualHost},
};

/// The VirtualService that serves each host.
struct Claims<'a> {
    exact: BTreeMap<&'a str, (&'a VirtualService, &'a Place)>,
    /// The longest first.
    wildcard: Vec<(&'a str, &'a VirtualService)>,
}

// === impl Linker ===

impl Linker<'_> {
    pub(super) fn virtual_hosts(&self, services: &[VirtualService]) -> Vec<VirtualHost> {
        let claims = self.claims(services);
        let mut hosts = Vec::new();
        for (host, known) in &self.registry.services {
            if known.alias_of.is_some() && !claims.exact.contains_key(host.as_str()) {
                // One more domain of the host that it stands for.
                continue;
            }
            let claim = claims.of(host);
            let ports = http_ports(self.registry.concrete(host).map_or(known, |(_, k)| k));
            if ports.is_empty() && claim.is_none() {
                self.report.note(
                    &known.place,
                    "not-http",
                    format!("{host} has no HTTP port: it gets no routes"),
                    "",
                );
                continue;
            }
            let mut domains = names::domains(host, &self.namespace);
            domains.extend(known.virtual_ips().cloned());
            for alias in self.registry.aliases_of(host) {
                if !claims.exact.contains_key(alias) {
                    domains.extend(names::domains(alias, &self.namespace));
                }
            }
            hosts.push(self.virtual_host(host, domains, ports, claim, &known.place));
        }
        for (host, (service, place)) in &claims.exact {
            if !self.registry.services.contains_key(*host) {
                // What its rules lead to is reported with them.
                if !host.starts_with('*') && !names::is_own(host) && !service.leads_to(host) {
                    self.known_host(host, place);
                }
                self.check_own_host(service, host);
                let domains = names::domains(host, &self.namespace);
                hosts.push(self.virtual_host(host, domains, vec![80], Some(service), place));
            }
        }
        hosts.sort_by(|a, b| a.name.cmp(&b.name));
        unique_domains(&mut hosts);
        hosts
    }

    fn claims<'a>(&self, services: &'a [VirtualService]) -> Claims<'a> {
        let mut exact: BTreeMap<&str, (&VirtualService, &Place)> = BTreeMap::new();
        for service in services {
            for (host, place) in &service.hosts {
                match exact.get(host.as_str()) {
                    Some((winner, _)) => self.conflict(host, place, winner),
                    None => {
                        exact.insert(host, (service, place));
                    }
                }
            }
        }
        let mut wildcard: Vec<_> = exact
            .iter()
            .filter(|(host, _)| host.starts_with('*'))
            .map(|(host, (service, _))| (*host, *service))
            .collect();
        wildcard.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        Claims { exact, wildcard }
    }

    /// VirtualServices are never merged: the second one for a host has no effect on it.
    fn conflict(&self, host: &str, place: &Place, winner: &VirtualService) {
        let message = format!(
            "{host} is already served by {}; {} has no effect on it",
            winner.place,
            place.origin.resource()
        );
        if winner.origin.layer > place.origin.layer {
            let hint = winner.origin.layer.hint();
            self.report
                .note(place, "virtual-service-overlaid", message, hint);
            return;
        }
        let hint = "put all routes of a host into one VirtualService, or load the one that shall win with --overlay";
        let rule = "virtual-service-conflict";
        if self.options.strict {
            self.report.error(place, rule, message, hint);
        } else {
            self.report.warn(place, rule, message, hint);
        }
    }

    fn virtual_host(
        &self,
        host: &str,
        domains: Vec<String>,
        ports: Vec<u16>,
        claim: Option<&VirtualService>,
        place: &Place,
    ) -> VirtualHost {
        let first = ports.first().copied().unwrap_or(80);
        let name: Arc<str> = format!("{host}:{first}").into();
        let mut virtual_host = VirtualHost::new(name, domains);
        virtual_host.routes = match claim {
            Some(service) => self.routes(service, &ports),
            None => self.default_routes(host, &ports),
        };
        virtual_host.ports = ports;
        virtual_host.origin = claim.map_or_else(|| place.origin.id(), |s| s.origin.id());
        virtual_host
    }

    /// The route of a service without VirtualService: no timeout, default retries.
    fn default_routes(&self, host: &str, ports: &[u16]) -> Vec<Route> {
        let mut routes = Vec::new();
        for port in ports {
            let cluster = ClusterName::new(*port, "", host).to_string();
            let mut forward = Forward::new(vec![Destination::new(cluster, 1)]);
            forward.retry = self.default_retry.clone();
            forward.deadline = deadline::params::Params::default();
            let mut route = Route::new("default", Action::Forward(Box::new(forward)));
            if ports.len() > 1 {
                route.matches.push(Match {
                    port: Some(*port),
                    ..Match::default()
                });
            }
            routes.push(route);
        }
        routes
    }
}

// === impl Claims ===

impl<'a> Claims<'a> {
    fn of(&self, host: &str) -> Option<&'a VirtualService> {
        if let Some((service, _)) = self.exact.get(host) {
            return Some(service);
        }
        let found = self.wildcard.iter().find(|(p, _)| names::covers(p, host));
        found.map(|(_, service)| *service)
    }
}

/// The ports on which HTTP is spoken: those in plain text first, then those that are declared as TLS.
pub(super) fn http_ports(known: &Known) -> Vec<u16> {
    let of = |wanted: fn(PortProtocol) -> bool| {
        let ports = known.ports.iter();
        ports.filter(move |port| wanted(port.protocol))
    };
    let plain = of(|protocol| matches!(protocol, PortProtocol::Http(_)));
    let secure = of(|protocol| protocol == PortProtocol::Tls);
    plain.chain(secure).map(|port| port.number).collect()
}

/// A domain leads to one host: full names first, then whoever comes first.
fn unique_domains(hosts: &mut [VirtualHost]) {
    let full: HashSet<String> = hosts
        .iter()
        .filter_map(|host| host.domains.first().cloned())
        .collect();
    let mut short: HashSet<String> = HashSet::new();
    for host in hosts {
        let mut index = 0;
        host.domains.retain(|domain| {
            index += 1;
            index == 1 || (!full.contains(domain) && short.insert(domain.clone()))
        });
    }
}
