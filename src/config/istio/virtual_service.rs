//! VirtualService.

use std::sync::Arc;

use super::{export_to, format, http_route, rule::Rule};
use crate::{
    config::{
        decode::{Field, Object},
        diagnostic::{Origin, Place, Severity},
        names,
    },
    layers::retry,
};

/// A VirtualService, as far as it concerns the mesh.
#[derive(Debug)]
pub(in crate::config) struct VirtualService {
    pub(in crate::config) origin: Arc<Origin>,
    pub(in crate::config) place: Place,
    /// Full names.
    pub(in crate::config) hosts: Vec<(String, Place)>,
    /// Whether its gateways include the mesh.
    pub(in crate::config) mesh: bool,
    pub(in crate::config) export_to: Vec<String>,
    pub(in crate::config) rules: Vec<Rule>,
}

/// Reads `spec`.
pub(in crate::config) fn read(
    spec: &Object<'_>,
    default_retry: &retry::params::Params,
) -> VirtualService {
    let hosts = hosts(spec);
    let mesh = spec.get("gateways").is_none_or(|gateways| {
        let mesh = gateways.strings().iter().any(|(name, _)| *name == "mesh");
        if !mesh {
            gateways.note(
                "not-in-force",
                "bound to gateways only: it has no effect on service-to-service traffic",
                "add `mesh` to `gateways` if it is meant for it",
            );
        }
        mesh
    });
    spec.not_in_force("tls", Severity::Warning, "TLS routes are left out");
    spec.not_in_force("tcp", Severity::Warning, "TCP routes are left out");
    let http = spec.get("http");
    if http.is_none() && spec.raw("tls").is_none() && spec.raw("tcp").is_none() {
        spec.field().error(
            "no-routes",
            "there is no route: `http` is missing",
            "add `http:` with at least one route",
        );
    }
    let items = http.as_ref().map(Field::list).unwrap_or_default();
    if let Some(http) = http.filter(|_| items.is_empty()) {
        http.error("no-routes", "`http` has no rule", "");
    }
    VirtualService {
        origin: Arc::clone(spec.field().origin()),
        place: spec.place(),
        hosts,
        mesh,
        export_to: export_to::read(spec, false),
        rules: items
            .iter()
            .filter_map(|item| http_route::read(item, default_retry))
            .collect(),
    }
}

fn hosts(spec: &Object<'_>) -> Vec<(String, Place)> {
    let hosts = host_names(spec);
    match spec.raw("hosts") {
        None => spec.field().error(
            "no-hosts",
            "`hosts` is missing",
            "name the hosts whose traffic it routes; one without hosts is a delegate, and delegates are not in force in llmesh",
        ),
        Some(field) if field.is_null() || field.is_empty_list() => {
            field.error("no-hosts", "`hosts` is empty", "");
        }
        Some(_) => {}
    }
    hosts
}

/// Reads the names in `hosts`, in full.
pub(in crate::config) fn host_names(spec: &Object<'_>) -> Vec<(String, Place)> {
    let mut hosts: Vec<(String, Place)> = Vec::new();
    let namespace = spec.field().origin().namespace.clone();
    for (text, field) in spec.get("hosts").map(|h| h.strings()).unwrap_or_default() {
        if text == "*" {
            let hint = "name the hosts, or use a wildcard such as *.example.com";
            field.error("bad-host", "`*` is not allowed inside the mesh", hint);
            continue;
        }
        if let Err(why) = names::check_host(text)
            && !format::is_ip(text)
        {
            field.error("bad-host", format!("{text:?}: {why}"), "");
            continue;
        }
        let host = names::fqdn(text, &namespace);
        if let Some((_, first)) = hosts.iter().find(|(other, _)| *other == host) {
            let message = format!(
                "{text:?} is the same host as the one in line {}",
                first.line
            );
            field.error("duplicate-host", message, "keep one of the two");
            continue;
        }
        hosts.push((host, field.place()));
    }
    hosts
}
