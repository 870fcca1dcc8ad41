//! Who may call what, and who must prove who they are.

use std::{collections::BTreeMap, sync::Arc};

use super::Settings;
use crate::layers::authz::params::{Mode, PeerPolicy, Policy, TrustDomains};

/// The namespace whose policies are for the whole mesh, where nothing else was said.
const ROOT: &str = "istio-system";

/// The security policies of the files, and whom they may be about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// All AuthorizationPolicies, in load order.
    pub policies: Vec<Policy>,
    /// All PeerAuthentications, in load order.
    pub peers: Vec<PeerPolicy>,
    /// The workloads that the files tell of.
    pub workloads: Vec<Workload>,
    /// The namespace of this process's own workload.
    pub namespace: String,
    /// The labels of this process's own workload.
    pub labels: BTreeMap<String, String>,
}

/// A workload, as far as the files tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Workload {
    /// The service that it is a part of; empty where it is of none.
    pub host: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its service account.
    pub account: Arc<str>,
    /// The ports that it serves the service's on, by the service's.
    pub ports: BTreeMap<u16, u16>,
}

// === impl Security ===

impl Security {
    /// The policies for a workload, in load order, those of the mesh's root namespace among them.
    pub fn policies_of<'s>(
        &'s self,
        settings: &'s Settings,
        namespace: &'s str,
        labels: &'s BTreeMap<String, String>,
    ) -> impl Iterator<Item = &'s Policy> + use<'s> {
        let root = root(settings);
        let all = self.policies.iter();
        all.filter(move |policy| policy.selects(root, namespace, labels))
    }

    /// What a port of this process's own workload takes.
    #[must_use]
    pub fn mode(&self, settings: &Settings, port: u16) -> Mode {
        let root = root(settings);
        Mode::of(&self.peers, root, &self.namespace, &self.labels, port)
    }
}

// === impl Workload ===

impl Workload {
    /// A workload of a service, without labels.
    #[must_use]
    pub fn new(
        host: impl Into<Arc<str>>,
        namespace: impl Into<Arc<str>>,
        account: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            host: host.into(),
            namespace: namespace.into(),
            labels: BTreeMap::new(),
            account: account.into(),
            ports: BTreeMap::new(),
        }
    }
}

// === free functions ===

fn root(settings: &Settings) -> &str {
    settings.root_namespace.as_deref().unwrap_or(ROOT)
}

impl Settings {
    /// The trust domains of the mesh.
    #[must_use]
    pub fn trust_domains(&self) -> TrustDomains {
        TrustDomains {
            own: self.trust_domain.clone(),
            aliases: self.trust_domain_aliases.clone(),
        }
    }
}
