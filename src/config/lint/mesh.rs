//! All resources together, as the whole mesh and not one caller sees them.

use std::{collections::HashMap, sync::Arc};

use super::{
    call::{Call, Node},
    facts::{Facts, Labels},
};
use crate::{
    config::{
        diagnostic::Origin,
        istio::virtual_service::VirtualService,
        k8s::PodTemplate,
        link::{labels::contains, registry::Registry, rules::Rules},
        llm_policy::LlmPolicy,
        names,
        reader::Resources,
    },
    layers::retry,
    model::Discovery,
};

/// All resources, and who calls whom in them.
pub(super) struct Mesh<'a> {
    pub(super) resources: &'a Resources,
    pub(super) registry: &'a Registry,
    pub(super) rules: &'a Rules<'a>,
    pub(super) default_retry: &'a retry::params::Params,
    exact: HashMap<&'a str, &'a VirtualService>,
    /// The longest first.
    wildcard: Vec<(&'a str, &'a VirtualService)>,
    members: HashMap<&'a str, Vec<Member<'a>>>,
    /// Pods of Deployments and the like.
    replicas: HashMap<String, u32>,
    pub(super) nodes: Vec<Node>,
    pub(super) calls: Vec<Call<'a>>,
    from: Vec<Vec<usize>>,
    to: Vec<Vec<usize>>,
}

/// A workload of a service.
#[derive(Clone, Copy)]
pub(super) struct Member<'a> {
    /// The full name.
    pub(super) host: &'a str,
    pub(super) labels: &'a Labels,
    pub(super) account: Option<&'a str>,
    /// What it is made from, if that is a Deployment or its like.
    pub(super) template: Option<&'a PodTemplate>,
}

/// A label of a namespace.
type Label<'a> = (&'a str, &'a str, &'a str);

// === impl Mesh ===

impl<'a> Mesh<'a> {
    pub(super) fn new(
        resources: &'a Resources,
        registry: &'a Registry,
        rules: &'a Rules<'a>,
        default_retry: &'a retry::params::Params,
    ) -> Self {
        let mut mesh = Self {
            resources,
            registry,
            rules,
            default_retry,
            exact: HashMap::new(),
            wildcard: Vec::new(),
            members: HashMap::new(),
            replicas: HashMap::new(),
            nodes: Vec::new(),
            calls: Vec::new(),
            from: Vec::new(),
            to: Vec::new(),
        };
        for service in resources.virtual_services.iter().filter(|s| s.mesh) {
            for (host, _) in &service.hosts {
                mesh.exact.entry(host).or_insert(service);
            }
        }
        let wild = mesh.exact.iter().filter(|(host, _)| host.starts_with('*'));
        mesh.wildcard = wild.map(|(host, service)| (*host, *service)).collect();
        mesh.wildcard
            .sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        let replicas = resources.facts.replicas.iter();
        mesh.replicas = replicas.map(|(origin, n)| (origin.id(), *n)).collect();
        mesh.find_members();
        mesh
    }

    pub(super) fn facts(&self) -> &'a Facts {
        &self.resources.facts
    }

    /// The VirtualService that serves a host.
    pub(super) fn claim(&self, host: &str) -> Option<&'a VirtualService> {
        let wild = || {
            let mut all = self.wildcard.iter();
            all.find(|(pattern, _)| names::covers(pattern, host))
        };
        let exact = self.exact.get(host).copied();
        exact.or_else(|| wild().map(|(_, service)| *service))
    }

    /// Whether a VirtualService serves any of its hosts.
    pub(super) fn serves(&self, service: &VirtualService) -> bool {
        let mut hosts = service.hosts.iter();
        hosts.any(|(host, _)| {
            self.exact
                .get(host.as_str())
                .is_some_and(|s| std::ptr::eq(*s, service))
        })
    }

    /// The policy for LLM calls that names a host.
    pub(super) fn policy(&self, host: &str, namespace: &str) -> Option<&'a LlmPolicy> {
        let all = self
            .resources
            .llm_policies
            .iter()
            .filter(|p| p.hosts.is_some());
        let ranked =
            all.filter_map(|p| Some((crate::config::link::policies::rank(p, host, namespace)?, p)));
        // Of equals the first.
        let best = ranked.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, policy)| policy)
    }

    /// The workloads of a namespace that carry labels.
    pub(super) fn members<'s>(
        &'s self,
        namespace: &str,
        labels: &'s Labels,
    ) -> impl Iterator<Item = Member<'a>> + use<'a, 's> {
        let all = self.members.get(namespace).map_or(&[][..], Vec::as_slice);
        let all = all.iter().filter(|member| contains(member.labels, labels));
        all.copied()
    }

    /// How many processes of a service carry labels, by its Deployments, else by its endpoints.
    pub(super) fn replicas(&self, host: &str, namespace: &str, labels: &Labels) -> Option<u32> {
        let templates = self
            .members(namespace, labels)
            .filter(|member| member.host == host);
        let mut found: Vec<_> = templates.filter_map(|member| member.template).collect();
        found.dedup_by_key(|template| template.origin.id());
        if !found.is_empty() {
            let of = |template: &&PodTemplate| self.replicas.get(&template.origin.id()).copied();
            return found.iter().map(of).sum();
        }
        let known = self.registry.services.get(host)?;
        let port = known.ports.first()?;
        let Discovery::Static(all) = known.discovery(port.number, labels) else {
            return None;
        };
        u32::try_from(all.len()).ok().filter(|n| *n > 0)
    }

    /// Whether an LlmPolicy or an annotation says that calls to a host cost money.
    pub(super) fn is_paid(&self, host: &str, namespace: &str) -> bool {
        let marked = |origin: &Arc<Origin>| match origin.kind.as_str() {
            "ServiceEntry" => {
                let mut all = self.resources.service_entries.iter();
                all.any(|e| {
                    Arc::ptr_eq(&e.origin, origin) && e.hosts.iter().any(|(h, _)| h == host)
                })
            }
            _ => names::fqdn(&origin.name, &origin.namespace) == host,
        };
        self.facts().paid.iter().any(marked) || self.policy(host, namespace).is_some()
    }

    /// Takes the call graph.
    pub(super) fn with_calls(mut self, (nodes, calls): (Vec<Node>, Vec<Call<'a>>)) -> Self {
        self.from = vec![Vec::new(); nodes.len()];
        self.to = vec![Vec::new(); nodes.len()];
        for (index, call) in calls.iter().enumerate() {
            self.from[call.caller].push(index);
            self.to[call.callee].push(index);
        }
        (self.nodes, self.calls) = (nodes, calls);
        self
    }

    /// The calls that a node makes.
    pub(super) fn calls_from(&self, node: usize) -> impl Iterator<Item = (usize, &Call<'a>)> {
        self.from[node]
            .iter()
            .map(|index| (*index, &self.calls[*index]))
    }

    /// The calls that lead to a node, by position.
    pub(super) fn calls_to(&self, node: usize) -> &[usize] {
        &self.to[node]
    }

    fn find_members(&mut self) {
        let mut by_label: HashMap<Label<'a>, Vec<&'a PodTemplate>> = HashMap::new();
        for template in &self.resources.templates {
            for (key, value) in &template.labels {
                let key = (
                    template.origin.namespace.as_str(),
                    key.as_str(),
                    value.as_str(),
                );
                by_label.entry(key).or_default().push(template);
            }
        }
        for service in &self.resources.services {
            let namespace = service.origin.namespace.as_str();
            let Some(selector) = &service.selector else {
                continue;
            };
            let host = names::fqdn(&service.origin.name, namespace);
            let (Some((host, _)), Some((key, value))) = (
                self.registry.services.get_key_value(&host),
                selector.iter().next(),
            ) else {
                continue;
            };
            let all = by_label.get(&(namespace, key.as_str(), value.as_str()));
            let all = all.into_iter().flatten();
            let mut all = all.filter(|t| contains(&t.labels, selector)).peekable();
            let list = self.members.entry(namespace).or_default();
            if all.peek().is_none() {
                // What its pods carry at least.
                list.push(Member {
                    host,
                    labels: selector,
                    account: None,
                    template: None,
                });
            }
            list.extend(all.map(|template| Member {
                host,
                labels: &template.labels,
                account: Some(template.service_account.as_str()),
                template: Some(template),
            }));
        }
        for entry in &self.resources.service_entries {
            let namespace = entry.origin.namespace.as_str();
            let list = self.members.entry(namespace).or_default();
            let own = entry.endpoints.iter();
            let chosen = self.resources.workloads.iter().filter(|workload| {
                let wanted = entry.selector.as_ref();
                workload.origin.namespace == namespace
                    && wanted.is_some_and(|w| contains(&workload.labels, w))
            });
            let workloads: Vec<_> = own.chain(chosen).collect();
            for (host, _) in &entry.hosts {
                list.extend(workloads.iter().map(|workload| Member {
                    host,
                    labels: &workload.labels,
                    account: workload.service_account.as_deref(),
                    template: None,
                }));
            }
        }
    }
}
