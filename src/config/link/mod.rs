//! Resources to the model: names to hosts, clusters and endpoints.

mod aliases;
pub(super) mod clusters;
mod endpoints;
mod explain;
mod fallback;
mod findings;
mod hidden;
mod hosts;
pub(super) mod labels;
mod linker;
mod own;
mod place;
pub(super) mod policies;
pub(super) mod registry;
mod routes;
pub(super) mod rules;
mod secrets;
mod security;
mod spoken;
mod tls;
mod withheld;

use std::cell::RefCell;

use self::{linker::Linker, registry::Registry, rules::Rules};
use super::{diagnostic::Report, options::Options, reader::Resources};
use crate::{layers::retry, model::MeshModel};

/// Links everything. The model is meaningful only if nothing was reported as an error.
pub(super) fn link(
    resources: &mut Resources,
    options: &Options,
    default_retry: &retry::params::Params,
    report: &Report,
) -> MeshModel {
    let namespace = caller_namespace(resources, options);
    let hidden = hidden::hide(resources, options, &namespace);
    let registry = Registry::build(resources, report);
    let rules = Rules::build(&resources.destination_rules, &namespace, report);
    let linker = Linker {
        options,
        report,
        default_retry,
        namespace,
        registry,
        rules,
        all_rules: &resources.destination_rules,
        guards: &resources.guards,
        secrets: &resources.secrets,
        used_secrets: RefCell::default(),
        exposed: RefCell::default(),
        hidden,
        incomplete: resources.incomplete,
        told: RefCell::default(),
    };
    linker.check_hidden();
    linker.check_rules(&resources.destination_rules);
    let clusters = linker.clusters();
    let mut virtual_hosts = linker.virtual_hosts(&resources.virtual_services);
    linker.policies(&resources.llm_policies, &mut virtual_hosts);
    linker.check_endpoints(&clusters, &virtual_hosts);
    linker.check_exposed(&clusters, &virtual_hosts);
    linker.check_keys(&resources.llm_policies, &clusters, &virtual_hosts);
    let security = security::security(resources, &linker.registry, options, &linker.namespace);
    let used = linker.used_secrets.take().into_iter();
    let secrets = used.filter_map(|name| {
        let secret = resources.secrets.get(&name)?;
        Some((name, secret.values.clone()))
    });
    MeshModel {
        secrets: secrets.collect(),
        security,
        clusters,
        virtual_hosts,
        ..MeshModel::default()
    }
}

/// The namespace given, else the one that all resources share, else `default`.
fn caller_namespace(resources: &Resources, options: &Options) -> String {
    let mut shared = resources.namespaces.iter();
    match (&options.namespace, shared.next(), shared.next()) {
        (Some(given), _, _) => given.clone(),
        (None, Some(only), None) => only.clone(),
        _ => "default".to_owned(),
    }
}
