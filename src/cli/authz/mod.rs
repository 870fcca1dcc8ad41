//! `llmesh authz`: who may call what, by the policies of files.
//!
//! The same evaluator decides as in the proxy. What cannot be understood is left out by name and closes what it may be for,
//! as under `run --lenient`.

mod explain;
mod matrix;

use std::{path::PathBuf, process::ExitCode};

use super::args::{AuthzArgs, AuthzCommand, InputArgs};
use crate::{
    authz::{Engine, RuleRef, Sight, params::Mode},
    base::BoxError,
    config::{self, LeftOut},
    model::{MeshModel, Workload},
};

/// Exit 0 done or allowed, 1 refused, 2 if it cannot be told.
#[must_use]
pub fn run(args: &AuthzArgs) -> ExitCode {
    match &args.command {
        AuthzCommand::Explain(args) => explain::run(args),
        AuthzCommand::Matrix(args) => matrix::run(args),
    }
}

/// The mesh of some files, and what of them is left out.
struct Known {
    model: MeshModel,
    left_out: Vec<LeftOut>,
}

// === impl Known ===

impl Known {
    fn load(input: &InputArgs, overlay: &[PathBuf]) -> Result<Self, BoxError> {
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
    fn engine(&self, workload: &Workload) -> Engine {
        let MeshModel {
            security, settings, ..
        } = &self.model;
        let policies = security.policies_of(settings, &workload.namespace, &workload.labels);
        Engine::new(policies, &settings.trust_domains(), Sight::http())
    }

    /// What a port of a workload takes.
    fn mode(&self, workload: &Workload, port: u16) -> Mode {
        let root = self.model.settings.root_namespace.as_deref();
        let root = root.unwrap_or("istio-system");
        let peers = &self.model.security.peers;
        Mode::of(peers, root, &workload.namespace, &workload.labels, port)
    }

    /// The identity of a service account.
    fn identity(&self, namespace: &str, account: &str) -> String {
        let domains = self.model.settings.trust_domains();
        format!("spiffe://{}/ns/{namespace}/sa/{account}", domains.own())
    }

    /// Says what is left out, and that it closes what it may be for.
    fn tell_left_out(&self) {
        for resource in &self.left_out {
            super::err(format_args!(
                "left out (if it is a policy, what it may be for is closed): {resource}"
            ));
        }
    }
}

/// Where a rule stands: `file:line`.
fn place(rule: &RuleRef) -> String {
    match rule.line {
        0 => rule.policy.file.to_string(),
        line => format!("{}:{line}", rule.policy.file),
    }
}

/// A rule for people: `ALLOW ns/name rule 0`.
fn named(rule: &RuleRef) -> String {
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
fn labels(workload: &Workload) -> String {
    let labels = workload.labels.iter();
    let all: Vec<_> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    all.join(",")
}
