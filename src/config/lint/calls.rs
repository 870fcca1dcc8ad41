//! The call graph, read from what the files say of callers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    call::{Call, Node, SAID},
    facts::Labels,
    mesh::{Member, Mesh},
    said::SaidCall,
    terms,
};
use crate::config::{
    diagnostic::{Origin, Place},
    names,
};

/// More calls than this are not followed.
const MAX_CALLS: usize = 20_000;

/// A caller, as files name it.
enum Who<'a> {
    Member(Member<'a>),
    /// One of which only the name is known, and its namespace.
    Named(&'a str, &'a str),
}

struct Builder<'m, 'a> {
    mesh: &'m Mesh<'a>,
    nodes: Vec<Node>,
    by_host: HashMap<String, usize>,
    by_name: HashMap<(String, String), usize>,
    calls: Vec<Call<'a>>,
    known: HashMap<(usize, usize), usize>,
    /// Whether names need their namespace.
    spaces: bool,
}

/// Finds who calls whom: nodes and calls.
pub(super) fn find<'a>(mesh: &Mesh<'a>) -> (Vec<Node>, Vec<Call<'a>>) {
    let spaces: BTreeSet<_> = mesh
        .registry
        .services
        .values()
        .map(|k| k.namespace.as_str())
        .collect();
    let mut builder = Builder {
        mesh,
        nodes: Vec::new(),
        by_host: HashMap::new(),
        by_name: HashMap::new(),
        calls: Vec::new(),
        known: HashMap::new(),
        spaces: spaces.len() > 1,
    };
    builder.said();
    builder.sidecars();
    builder.authorized();
    builder.source_labels();
    for index in 0..builder.calls.len() {
        let call = &builder.calls[index];
        let (caller, callee) = (&builder.nodes[call.caller], &builder.nodes[call.callee]);
        builder.calls[index].terms = terms::of(mesh, caller, callee);
    }
    (builder.nodes, builder.calls)
}

// === impl Builder ===

impl<'a> Builder<'_, 'a> {
    /// Annotations `llmesh.io/calls`.
    fn said(&mut self) {
        for said in &self.mesh.facts().said {
            let origin = &said.place.origin;
            for who in self.who(origin) {
                for call in &said.calls {
                    let host = names::fqdn(&call.host, &origin.namespace);
                    self.add(&who, &host, call, (&said.place, SAID));
                }
            }
        }
    }

    /// Whom a resource stands for.
    fn who(&self, origin: &'a Arc<Origin>) -> Vec<Who<'a>> {
        let (name, namespace) = (origin.name.as_str(), origin.namespace.as_str());
        let none = Labels::new();
        let own: Vec<_> = self
            .mesh
            .members(namespace, &none)
            .filter(|member| match origin.kind.as_str() {
                "Service" => names::fqdn(name, namespace) == member.host,
                _ => member
                    .template
                    .is_some_and(|t| t.origin.id() == origin.id()),
            })
            .collect();
        let one = own.first().copied().map(Who::Member);
        let entry = || {
            let mut all = self.mesh.resources.service_entries.iter();
            let entry = all.find(|entry| entry.origin.id() == origin.id())?;
            entry
                .hosts
                .first()
                .map(|(host, _)| Who::Named(host, namespace))
        };
        vec![one.or_else(entry).unwrap_or(Who::Named(name, namespace))]
    }

    fn sidecars(&mut self) {
        for sidecar in &self.mesh.facts().sidecars {
            let namespace = sidecar.place.origin.namespace.as_str();
            if sidecar.labels.is_empty() {
                continue;
            }
            let callers: Vec<_> = self.mesh.members(namespace, &sidecar.labels).collect();
            for (host, place) in &sidecar.hosts {
                let Some((space, host)) = host.split_once('/') else {
                    continue;
                };
                if host.contains('*') || space == "~" {
                    continue;
                }
                let space = if matches!(space, "." | "*") {
                    namespace
                } else {
                    space
                };
                let host = names::fqdn(host, space);
                for caller in &callers {
                    self.add(&Who::Member(*caller), &host, &plain(), (place, "Sidecar"));
                }
            }
        }
    }

    /// Whom an AuthorizationPolicy lets in by service account.
    fn authorized(&mut self) {
        for policy in &self.mesh.facts().authorizations {
            let namespace = policy.place.origin.namespace.as_str();
            if policy.action != "ALLOW" || policy.labels.is_empty() {
                continue;
            }
            let callees: BTreeSet<_> = self
                .mesh
                .members(namespace, &policy.labels)
                .map(|m| m.host)
                .collect();
            for source in &policy.sources {
                let principals = source.principals.iter().filter_map(|p| account(p));
                let accounts = source
                    .accounts
                    .iter()
                    .map(|account| account.split_once('/').unwrap_or((namespace, account)));
                let all: Vec<_> = principals.chain(accounts).collect();
                for (space, account) in all {
                    let who = self.of_account(space, account);
                    for host in &callees {
                        self.add(&who, host, &plain(), (&source.place, "AuthorizationPolicy"));
                    }
                }
            }
        }
    }

    /// Who runs under a service account.
    fn of_account(&self, namespace: &'a str, account: &'a str) -> Who<'a> {
        let none = Labels::new();
        let mut members = self.mesh.members(namespace, &none);
        let member = members.find(|member| member.account == Some(account));
        member.map_or(Who::Named(account, namespace), Who::Member)
    }

    fn source_labels(&mut self) {
        for service in self
            .mesh
            .resources
            .virtual_services
            .iter()
            .filter(|s| s.mesh && self.mesh.serves(s))
        {
            let matches = service.rules.iter().flat_map(|rule| &rule.matches);
            for alternative in matches.filter(|m| !m.source_labels.is_empty()) {
                let namespace = alternative.source_namespace.as_deref();
                let namespace = namespace.unwrap_or(&service.origin.namespace);
                let callers: Vec<_> = self
                    .mesh
                    .members(namespace, &alternative.source_labels)
                    .collect();
                for (host, _) in service
                    .hosts
                    .iter()
                    .filter(|(host, _)| !host.starts_with('*'))
                {
                    for caller in &callers {
                        let place = &alternative.place;
                        self.add(
                            &Who::Member(*caller),
                            host,
                            &plain(),
                            (place, "sourceLabels"),
                        );
                    }
                }
            }
        }
    }

    fn add(
        &mut self,
        who: &Who<'a>,
        host: &str,
        call: &SaidCall,
        (place, by): (&Place, &'static str),
    ) {
        let caller = self.caller(who);
        let callee = self.host(host, None);
        if caller == callee
            || self.calls.len() >= MAX_CALLS
            || self.known.contains_key(&(caller, callee))
        {
            return;
        }
        self.known.insert((caller, callee), self.calls.len());
        self.calls.push(Call {
            caller,
            callee,
            times: call.times,
            rate: call.rate,
            latency: call.latency,
            place: place.clone(),
            by,
            terms: Vec::new(),
        });
    }

    fn caller(&mut self, who: &Who<'a>) -> usize {
        match *who {
            Who::Member(member) => self.host(member.host, Some(member)),
            Who::Named(name, namespace) => {
                let host = names::fqdn(name, namespace);
                if self.mesh.registry.services.contains_key(&host) {
                    return self.host(&host, None);
                }
                // A service account is mostly named for its service.
                let bare = name.trim_end_matches("-sa");
                let host = names::fqdn(bare, namespace);
                if self.mesh.registry.services.contains_key(&host)
                    || self.by_host.contains_key(&host)
                {
                    return self.host(&host, None);
                }
                let key = (namespace.to_owned(), name.to_owned());
                if let Some(index) = self.by_name.get(&key) {
                    return *index;
                }
                self.by_name.insert(key, self.nodes.len());
                self.nodes.push(Node {
                    name: if self.spaces {
                        format!("{name}.{namespace}")
                    } else {
                        name.to_owned()
                    },
                    host: None,
                    namespace: namespace.to_owned(),
                    labels: Labels::new(),
                    paid: false,
                });
                self.nodes.len() - 1
            }
        }
    }

    fn host(&mut self, host: &str, member: Option<Member<'a>>) -> usize {
        if let Some(index) = self.by_host.get(host) {
            return *index;
        }
        let known = self.mesh.registry.services.get(host);
        let namespace = known.map(|known| known.namespace.as_str());
        let namespace = namespace
            .or_else(|| names::namespace_of(host))
            .unwrap_or("default")
            .to_owned();
        let none = Labels::new();
        let mut members = self.mesh.members(&namespace, &none);
        let member = member.or_else(|| members.find(|m| m.host == host));
        let short = host.strip_suffix(".svc.cluster.local").unwrap_or(host);
        let name = match short.strip_suffix(&format!(".{namespace}")) {
            Some(short) if !self.spaces => short,
            _ => short,
        };
        self.by_host.insert(host.to_owned(), self.nodes.len());
        self.nodes.push(Node {
            name: name.to_owned(),
            host: Some(host.to_owned()),
            paid: self.mesh.is_paid(host, &namespace),
            labels: member.map(|m| m.labels.clone()).unwrap_or_default(),
            namespace,
        });
        self.nodes.len() - 1
    }
}

fn plain() -> SaidCall {
    SaidCall {
        host: String::new(),
        times: 1,
        rate: None,
        latency: None,
    }
}

/// Namespace and service account of a principal, where both are said in full.
pub(super) fn account(principal: &str) -> Option<(&str, &str)> {
    let (_, rest) = principal.split_once("/ns/")?;
    let (namespace, account) = rest.split_once("/sa/")?;
    let full = |text: &str| !text.is_empty() && !text.contains('*');
    (full(namespace) && full(account)).then_some((namespace, account))
}
