//! The services that are known, and their endpoints.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use super::labels::contains;
use crate::{
    config::{
        diagnostic::{Place, Report},
        istio::{
            service_entry::{Resolution, ServiceEntry, ServicePort},
            workload::Workload,
        },
        k8s::{PodTemplate, Service, Slice},
        names,
        reader::Resources,
    },
    model::{Discovery, Endpoint, tls::NameMatch},
};

/// Services by full name.
#[derive(Debug, Default)]
pub(in crate::config) struct Registry {
    pub(in crate::config) services: BTreeMap<String, Known>,
}

/// A service, from a Service, from ServiceEntries, or from both.
#[derive(Debug)]
pub(in crate::config) struct Known {
    pub(in crate::config) namespace: String,
    pub(in crate::config) ports: Vec<ServicePort>,
    pub(in crate::config) addresses: Vec<String>,
    pub(in crate::config) place: Place,
    /// The host that it is another name of.
    pub(in crate::config) alias_of: Option<String>,
    /// The name that its servers have, where it is not the service's.
    pub(in crate::config) server_name: Option<String>,
    /// The names of which a server's certificate must have one, where no DestinationRule lists any.
    pub(in crate::config) server_names: Vec<NameMatch>,
    /// Whether it is a part of the mesh.
    pub(in crate::config) internal: bool,
    resolution: Option<Resolution>,
    pub(in crate::config) endpoints: HashMap<u16, Vec<Endpoint>>,
}

struct Sources<'r> {
    workloads: HashMap<&'r str, Vec<&'r Workload>>,
    slices: HashMap<(&'r str, &'r str), Vec<&'r Slice>>,
    templates: HashMap<(&'r str, &'r str), Vec<&'r PodTemplate>>,
}

// === impl Registry ===

impl Registry {
    pub(in crate::config) fn build(resources: &Resources, report: &Report) -> Self {
        let mut sources = Sources {
            workloads: HashMap::new(),
            slices: HashMap::new(),
            templates: HashMap::new(),
        };
        for workload in &resources.workloads {
            let namespace = workload.origin.namespace.as_str();
            sources
                .workloads
                .entry(namespace)
                .or_default()
                .push(workload);
        }
        for slice in &resources.slices {
            if let Some(service) = &slice.service {
                let key = (slice.origin.namespace.as_str(), service.as_str());
                sources.slices.entry(key).or_default().push(slice);
            }
        }
        for template in &resources.templates {
            let key = (
                template.origin.namespace.as_str(),
                template.origin.name.as_str(),
            );
            sources.templates.entry(key).or_default().push(template);
        }
        let mut registry = Self::default();
        let own = resources.services.iter();
        for service in own.filter(|service| service.external_name.is_none()) {
            registry.add_service(service, &sources);
        }
        for entry in &resources.service_entries {
            for (host, place) in &entry.hosts {
                registry.add_entry(host, place, entry, &sources, report);
            }
        }
        registry.add_external(&resources.services, report);
        registry
    }

    fn add_service(&mut self, service: &Service, sources: &Sources<'_>) {
        let namespace = &service.origin.namespace;
        let host = names::fqdn(&service.origin.name, namespace);
        if self.services.contains_key(&host) {
            return;
        }
        let mut known = Known::new(namespace, service.place.clone());
        known.internal = true;
        known.addresses.clone_from(&service.cluster_ips);
        known.ports.clone_from(&service.ports);
        for port in &service.ports {
            let found = sources.of_service(service, port);
            if !found.is_empty() {
                known.resolution = Some(Resolution::Static);
                known.endpoints.insert(port.number, found);
            }
        }
        self.services.insert(host, known);
    }

    fn add_entry<'r>(
        &mut self,
        host: &str,
        place: &Place,
        entry: &'r ServiceEntry,
        sources: &Sources<'r>,
        report: &Report,
    ) {
        let known = self
            .services
            .entry(host.to_owned())
            .or_insert_with(|| Known {
                internal: entry.internal,
                ..Known::new(&entry.origin.namespace, place.clone())
            });
        if known.place.origin.layer > entry.origin.layer {
            let message = format!("{host} is taken over by {}", known.place);
            let hint = known.place.origin.layer.hint();
            report.note(place, "resource-overlaid", message, hint);
            return;
        }
        if known
            .resolution
            .is_some_and(|other| other != entry.resolution)
        {
            let message = format!(
                "{host} already has another resolution from {}; this resource adds no endpoints",
                known.place
            );
            report.warn(
                place,
                "resolution-conflict",
                message,
                "give both the same resolution",
            );
            return;
        }
        known.resolution = Some(entry.resolution);
        known.addresses.extend(entry.addresses.iter().cloned());
        known
            .server_names
            .extend(entry.server_names.iter().cloned());
        for port in &entry.ports {
            if !known.ports.iter().any(|p| p.number == port.number) {
                known.ports.push(port.clone());
            }
            let found = sources.of_entry(host, entry, port);
            let all = known.endpoints.entry(port.number).or_default();
            all.extend(found);
        }
    }
}

// === impl Known ===

impl Known {
    pub(in crate::config) fn new(namespace: &str, place: Place) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ports: Vec::new(),
            addresses: Vec::new(),
            place,
            alias_of: None,
            server_name: None,
            server_names: Vec::new(),
            internal: false,
            resolution: None,
            endpoints: HashMap::new(),
        }
    }

    /// Its endpoints are names.
    pub(in crate::config) fn resolve_names(&mut self) {
        self.resolution = Some(Resolution::Dns);
    }

    /// The endpoints of a port that carry `labels`.
    pub(in crate::config) fn discovery(
        &self,
        port: u16,
        labels: &BTreeMap<String, String>,
    ) -> Discovery {
        let endpoints = || {
            let all = self.endpoints.get(&port).map_or(&[][..], Vec::as_slice);
            all.iter()
                .filter(|endpoint| contains(&endpoint.labels, labels))
                .cloned()
                .collect()
        };
        match self.resolution {
            None | Some(Resolution::Static) => Discovery::Static(endpoints()),
            Some(Resolution::Dns) => Discovery::Dns(endpoints()),
            Some(Resolution::DnsRoundRobin) => Discovery::DnsFirst(endpoints()),
            Some(Resolution::None) => Discovery::Original,
            Some(Resolution::DynamicDns) => Discovery::Static(Vec::new()),
        }
    }

    /// Its virtual addresses that may stand in a Host header as they are.
    pub(in crate::config) fn virtual_ips(&self) -> impl Iterator<Item = &String> {
        self.addresses
            .iter()
            .filter(|ip| ip.parse::<Ipv4Addr>().is_ok())
    }
}

// === impl Sources ===

impl<'r> Sources<'r> {
    fn selected(
        &self,
        namespace: &str,
        selector: &'r BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'r Workload> {
        let all = self.workloads.get(namespace).cloned().unwrap_or_default();
        all.into_iter()
            .filter(move |workload| contains(&workload.labels, selector))
    }

    /// The endpoints of a ServiceEntry's port; under DNS without any, the host itself.
    fn of_entry(&self, host: &str, entry: &'r ServiceEntry, port: &ServicePort) -> Vec<Endpoint> {
        let namespace = entry.origin.namespace.as_str();
        match (&entry.selector, entry.resolution) {
            (Some(selector), _) => self
                .selected(namespace, selector)
                .map(|workload| endpoint(workload, port))
                .collect(),
            (None, Resolution::Dns | Resolution::DnsRoundRobin) if entry.endpoints.is_empty() => {
                vec![Endpoint::new(host, port.target.unwrap_or(port.number))]
            }
            _ => entry.endpoints.iter().map(|w| endpoint(w, port)).collect(),
        }
    }

    fn of_service(&self, service: &'r Service, port: &ServicePort) -> Vec<Endpoint> {
        let namespace = service.origin.namespace.as_str();
        let mut found = Vec::new();
        if let Some(selector) = service.selector.as_ref().filter(|s| !s.is_empty()) {
            let workloads = self.selected(namespace, selector);
            found.extend(workloads.map(|workload| endpoint(workload, port)));
        }
        let key = (namespace, service.origin.name.as_str());
        for slice in self.slices.get(&key).into_iter().flatten() {
            let Some((_, number)) = slice.ports.iter().find(|(name, _)| *name == port.name) else {
                continue;
            };
            for ready in &slice.endpoints {
                let pod = ready
                    .pod
                    .as_deref()
                    .and_then(|pod| self.template(namespace, pod));
                for address in &ready.addresses {
                    let mut endpoint = Endpoint::new(address.as_str(), *number);
                    endpoint.locality = ready.zone.as_ref().map(|zone| format!("/{zone}"));
                    // Every endpoint of a service carries what its selector asks for.
                    endpoint.labels = service.selector.clone().unwrap_or_default();
                    if let Some(pod) = pod {
                        endpoint.labels.extend(pod.labels.clone());
                        endpoint.service_account = Some(pod.service_account.clone());
                    }
                    found.push(endpoint);
                }
            }
        }
        found
    }

    /// What a pod was made from.
    fn template(&self, namespace: &str, pod: &str) -> Option<&'r PodTemplate> {
        let mut name = pod;
        for _ in 0..3 {
            let owner = self
                .templates
                .get(&(namespace, name))
                .and_then(|all| all.iter().find(|template| template.owns(pod)));
            if let Some(owner) = owner {
                return Some(owner);
            }
            name = name.rsplit_once('-')?.0;
        }
        None
    }
}

/// A workload as the endpoint of a port: its own port of that name, else the service's target, else the same number.
fn endpoint(workload: &Workload, port: &ServicePort) -> Endpoint {
    let number = workload
        .ports
        .get(&port.name)
        .copied()
        .or(port.target)
        .unwrap_or(port.number);
    let mut endpoint = Endpoint::new(workload.address.as_str(), number);
    endpoint.weight = workload.weight;
    endpoint.labels.clone_from(&workload.labels);
    endpoint.locality.clone_from(&workload.locality);
    endpoint
        .service_account
        .clone_from(&workload.service_account);
    endpoint
}
