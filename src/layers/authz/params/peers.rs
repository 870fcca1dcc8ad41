//! Who must prove an identity: Istio's PeerAuthentication.

use std::{collections::BTreeMap, sync::Arc};

/// One PeerAuthentication.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerPolicy {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The file it stands in, for people.
    pub file: Arc<str>,
    /// Its line there, from 1; 0 where it is not known.
    pub line: u32,
    /// Labels that a workload must have; empty is every workload.
    pub selector: BTreeMap<String, String>,
    /// What is taken; `None` is what the next wider policy says.
    pub mode: Option<Mode>,
    /// What is taken on some ports of the workload; `None` is the workload's own mode.
    pub ports: BTreeMap<u16, Option<Mode>>,
}

/// What a port takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Plain text only.
    Disable,
    /// Both: a peer without a certificate is nobody.
    #[default]
    Permissive,
    /// Mutual TLS only: plain text is closed without an answer.
    Strict,
}

// === impl PeerPolicy ===

impl PeerPolicy {
    /// A policy for all workloads of a namespace.
    #[must_use]
    pub fn new(
        namespace: impl Into<Arc<str>>,
        name: impl Into<Arc<str>>,
        mode: Option<Mode>,
    ) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            file: Arc::default(),
            line: 0,
            selector: BTreeMap::new(),
            mode,
            ports: BTreeMap::new(),
        }
    }
}

// === impl Mode ===

impl Mode {
    /// What a port of a workload takes: its own policy goes before its namespace's, and that before the mesh's. Of several of
    /// one kind the first holds.
    #[must_use]
    pub fn of(
        policies: &[PeerPolicy],
        root: &str,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        port: u16,
    ) -> Self {
        let wide = |of: &str| {
            let mut all = policies.iter();
            all.find(|p| &*p.namespace == of && p.selector.is_empty())
                .and_then(|policy| policy.mode)
        };
        let wider = || wide(namespace).or_else(|| wide(root)).unwrap_or_default();
        let own = policies.iter().find(|p| {
            let all = p.selector.iter().all(|(k, v)| labels.get(k) == Some(v));
            &*p.namespace == namespace && !p.selector.is_empty() && all
        });
        let Some(own) = own else { return wider() };
        let of_port = own.ports.get(&port).copied().flatten();
        of_port.or(own.mode).unwrap_or_else(wider)
    }

    /// As a policy writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "DISABLE",
            Self::Permissive => "PERMISSIVE",
            Self::Strict => "STRICT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_policy_holds() {
        let labels = BTreeMap::from([("app".to_owned(), "llm".to_owned())]);
        let mesh = PeerPolicy::new("istio-system", "mesh", Some(Mode::Strict));
        let unset = PeerPolicy::new("ai", "unset", None);
        let near = PeerPolicy::new("ai", "near", Some(Mode::Disable));
        let mut own = PeerPolicy::new("ai", "own", Some(Mode::Permissive));
        own.selector = labels.clone();
        own.ports = BTreeMap::from([(8080, Some(Mode::Strict)), (9090, None)]);
        let mut root_selector = PeerPolicy::new("istio-system", "other", Some(Mode::Disable));
        root_selector.selector = labels.clone();
        let strict = mesh.clone();
        for (policies, port, mode) in [
            (&[][..], 80, Mode::Permissive),
            (std::slice::from_ref(&strict), 80, Mode::Strict),
            (&[mesh.clone(), unset.clone()], 80, Mode::Strict),
            (&[mesh.clone(), near.clone()], 80, Mode::Disable),
            (
                &[mesh.clone(), near.clone(), own.clone()],
                80,
                Mode::Permissive,
            ),
            (&[mesh.clone(), own.clone()], 8080, Mode::Strict),
            (&[mesh, own], 9090, Mode::Permissive),
            (&[near.clone(), near.clone()], 80, Mode::Disable),
            (&[root_selector], 80, Mode::Permissive),
        ] {
            let found = Mode::of(policies, "istio-system", "ai", &labels, port);
            assert_eq!(found, mode, "{policies:?} {port}");
        }
        // Of several of one kind the first holds, whatever it says.
        let both = [unset, near];
        assert_eq!(Mode::of(&both, "", "ai", &labels, 80), Mode::Permissive);
    }
}
