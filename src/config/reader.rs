//! Everything that was read, and what reading needs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    diagnostic::{Diagnostic, Place, Report},
    guard::Guard,
    istio::{
        destination_rule::DestinationRule, service_entry::ServiceEntry,
        virtual_service::VirtualService, workload::Workload,
    },
    k8s,
    left_out::{Id, LeftOut},
    lint::facts::Facts,
    llm_policy::LlmPolicy,
    secrets::Secret,
    security::Security,
};
use crate::layers::retry;

/// Everything that was read, by kind, in load order.
#[derive(Debug, Default)]
pub(super) struct Resources {
    pub(super) virtual_services: Vec<VirtualService>,
    pub(super) destination_rules: Vec<DestinationRule>,
    pub(super) service_entries: Vec<ServiceEntry>,
    pub(super) workloads: Vec<Workload>,
    pub(super) services: Vec<k8s::Service>,
    pub(super) templates: Vec<k8s::PodTemplate>,
    pub(super) slices: Vec<k8s::Slice>,
    pub(super) llm_policies: Vec<LlmPolicy>,
    /// AuthorizationPolicies and PeerAuthentications.
    pub(super) security: Security,
    /// Secret objects by `namespace/name`.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// Namespaces that resources name.
    pub(super) namespaces: BTreeSet<String>,
    /// Where each resource was first given, by `Kind/namespace/name`.
    pub(super) seen: HashMap<String, Place>,
    /// Whether some document could not be read at all, so that others may miss what it defines.
    pub(super) incomplete: bool,
    /// What is wrong and was left out by name.
    pub(super) left_out: Vec<LeftOut>,
    /// Hosts that a rule which was left out asks TLS for.
    pub(super) guards: Vec<Guard>,
    /// What only the linter asks for.
    pub(super) facts: Facts,
    /// Files that hold a resource of the mesh.
    pub(super) files: BTreeSet<Arc<str>>,
}

/// What reading needs besides the text.
#[derive(Debug)]
pub(super) struct Reader<'r> {
    pub(super) report: &'r Report,
    pub(super) namespace: &'r str,
    pub(super) default_retry: &'r retry::params::Params,
    /// Whether what is wrong is left out by name.
    pub(super) lenient: bool,
    /// What is left out although nothing is wrong with it alone, and why.
    pub(super) refused: &'r BTreeMap<Id, Diagnostic>,
    /// Files that kustomizations name as patches.
    pub(super) patches: &'r BTreeSet<String>,
    /// Files that held a resource when they were read last: they are broken now, not another tool's.
    pub(super) ours: &'r BTreeSet<Arc<str>>,
}

// === impl Resources ===

impl Resources {
    pub(super) fn append(&mut self, mut own: Self) {
        self.virtual_services.append(&mut own.virtual_services);
        self.destination_rules.append(&mut own.destination_rules);
        self.service_entries.append(&mut own.service_entries);
        self.workloads.append(&mut own.workloads);
        self.services.append(&mut own.services);
        self.templates.append(&mut own.templates);
        self.slices.append(&mut own.slices);
        self.llm_policies.append(&mut own.llm_policies);
        self.facts.append(own.facts);
        self.security.append(&mut own.security);
    }

    /// Whether everything that was read concerns traffic at gateways only, or is a delegate's.
    pub(super) fn is_off_mesh(&self) -> bool {
        let mut all = self.virtual_services.iter();
        all.any(|service| !service.mesh || service.delegate)
    }
}
