//! What both questions are asked of.

use std::path::PathBuf;

use crate::{
    authz::{Engine, RuleRef, Sight, params::Mode},
    base::BoxError,
    cli::{args::InputArgs, err},
    config::{self, LeftOut},
    model::{MeshModel, Workload},
};

/// The mesh of some files, and what of them is left out.
pub(super) struct Known {
    pub(super) model: MeshModel,
    pub(super) left_out: Vec<LeftOut>,
}

// === impl Known ===

impl Known {
    pub(super) fn load(input: &InputArgs, overlay: &[PathBuf]) -> Result<Self, BoxError> {
        let (files, mut sources) = input.split()?;
        let read = if input.recursive {
            config::read_trees
        } else {
            config::read_paths
        };
        sources.extend(read(&files, overlay)?);
        let options = config::Options::default().with_lenient(true);
        let loaded = config::load(&sources, &options);
        let model = loaded.model.ok_or("nothing could be loaded")?;
        let left_out = loaded.left_out;
        Ok(Self { model, left_out })
    }

    /// The policies for a workload.
    pub(super) fn engine(&self, workload: &Workload) -> Engine {
        let MeshModel {
            security, settings, ..
        } = &self.model;
        let policies = security.policies_of(settings, &workload.namespace, &workload.labels);
        Engine::new(policies, &settings.trust_domains(), Sight::http())
    }

    /// What a port of a workload takes.
    pub(super) fn mode(&self, workload: &Workload, port: u16) -> Mode {
        let root = self.model.settings.root_namespace.as_deref();
        let root = root.unwrap_or("istio-system");
        let peers = &self.model.security.peers;
        Mode::of(peers, root, &workload.namespace, &workload.labels, port)
    }

    /// The identity of a service account.
    pub(super) fn identity(&self, namespace: &str, account: &str) -> String {
        let domains = self.model.settings.trust_domains();
        format!("spiffe://{}/ns/{namespace}/sa/{account}", domains.own())
    }

    /// Says what is left out, and that it closes what it may be for.
    pub(super) fn tell_left_out(&self) {
        for resource in &self.left_out {
            err(format_args!(
                "left out (if it is a policy, what it may be for is closed): {resource}"
            ));
        }
    }
}

/// Where a rule stands: `file:line`.
pub(super) fn place(rule: &RuleRef) -> String {
    match rule.line {
        0 => rule.policy.file.to_string(),
        line => format!("{}:{line}", rule.policy.file),
    }
}

/// A rule for people: `ALLOW ns/name rule 0`.
pub(super) fn named(rule: &RuleRef) -> String {
    let policy = &rule.policy;
    match &policy.closed {
        Some(why) => format!("{}/{} ({why})", policy.namespace, policy.name),
        None => format!(
            "{} {}/{} rule {}",
            policy.action.as_str(),
            policy.namespace,
            policy.name,
            rule.rule
        ),
    }
}

/// A workload's labels, as a selector writes them.
pub(super) fn labels(workload: &Workload) -> String {
    let labels = workload.labels.iter();
    let all: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    all.join(",")
}
