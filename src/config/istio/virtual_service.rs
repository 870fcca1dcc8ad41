//! VirtualService.

use std::sync::Arc;

use super::{
    export_to,
    format::{self, GATEWAYS},
    http_route, l4,
    rule::{Rule, RuleAction},
};
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
    /// Whether it has no hosts, and so is for other VirtualServices to use.
    pub(in crate::config) delegate: bool,
    pub(in crate::config) export_to: Vec<String>,
    pub(in crate::config) rules: Vec<Rule>,
}

// === impl VirtualService ===

impl VirtualService {
    /// Whether a rule has a host as its destination.
    pub(in crate::config) fn leads_to(&self, host: &str) -> bool {
        self.rules.iter().any(|rule| match &rule.action {
            Some(RuleAction::Forward(forward)) => {
                let mut destinations = forward.destinations.iter();
                destinations.any(|destination| destination.host == host)
            }
            _ => false,
        })
    }
}

/// Reads `spec`.
pub(in crate::config) fn read(
    spec: &Object<'_>,
    default_retry: &retry::params::Params,
) -> VirtualService {
    let (hosts, delegate) = hosts(spec);
    let mesh = spec
        .get("gateways")
        .is_none_or(|gateways| gateways.strings().iter().any(|(name, _)| *name == "mesh"));
    if let Some(gateways) = spec.get("gateways") {
        gateways.check(&GATEWAYS);
    }
    l4::check(spec);
    let http = spec.get("http");
    let any = ["http", "tls", "tcp"];
    if any.iter().all(|name| spec.field().given(name).is_none()) {
        http.as_ref().unwrap_or_else(|| spec.field()).error(
            "no-routes",
            "there is no route: `http` is missing or empty",
            "add `http:` with at least one route",
        );
    }
    let items = http.as_ref().map(Field::list).unwrap_or_default();
    check_overlap(spec);
    VirtualService {
        origin: Arc::clone(spec.field().origin()),
        place: spec.place(),
        hosts,
        mesh,
        delegate,
        export_to: export_to::read(spec, false),
        rules: items
            .iter()
            .filter_map(|item| http_route::read(item, default_retry))
            .collect(),
    }
}

/// The hosts, and whether there are none: then it is a delegate, which is bound to nothing itself.
fn hosts(spec: &Object<'_>) -> (Vec<(String, Place)>, bool) {
    let hosts = host_names(spec);
    let none = match spec.raw("hosts") {
        Some(field) => field.is_null() || field.is_empty_list(),
        None => true,
    };
    let bound = ["gateways", "tls", "tcp"]
        .into_iter()
        .find(|name| spec.raw(name).is_some());
    if let (true, Some(bound)) = (none, bound) {
        spec.field().error(
            "no-hosts",
            format!("`hosts` is missing, and one with `{bound}` is no delegate"),
            "name the hosts whose traffic it routes",
        );
    }
    (hosts, none)
}

/// No host of a VirtualService covers another of it.
fn check_overlap(spec: &Object<'_>) {
    let hosts = spec.field().texts("hosts");
    let covers = |pattern: &str, host: &str| {
        pattern.starts_with('*') && host.trim_start_matches('*').ends_with(&pattern[1..])
    };
    for (at, (text, field)) in hosts.iter().enumerate() {
        for (other, first) in &hosts[..at] {
            if covers(other, text) || covers(text, other) {
                let message = format!(
                    "{text:?} and {other:?} in line {} overlap",
                    first.place().line
                );
                field.error("duplicate-host", message, "keep one of the two");
            }
        }
    }
}

/// Reads the names in `hosts`, in full.
pub(in crate::config) fn host_names(spec: &Object<'_>) -> Vec<(String, Place)> {
    let mut hosts: Vec<(String, Place)> = Vec::new();
    let namespace = spec.field().origin().namespace.clone();
    let list = spec.get("hosts").map(|h| h.strings()).unwrap_or_default();
    for (text, field) in &list {
        let text = *text;
        if text == "*" {
            let hint = "name the hosts, or use a wildcard such as *.example.com";
            field.error("wildcard-host", "`*` is not allowed inside the mesh", hint);
            continue;
        }
        if let Err(why) = names::check_host(text)
            && !format::is_ip(text)
            && !(l4::is_generated(text) && spec.raw("gateways").is_some())
        {
            field.error("bad-host", format!("{text:?}: {why}"), "");
            continue;
        }
        let host = names::fqdn(text, &namespace);
        if let Some((_, first)) = hosts.iter().find(|(other, _)| *other == host) {
            let message = format!("{text:?} is the host in line {}", first.line);
            // Istio compares them as they are written.
            let severity = match list.iter().filter(|(other, _)| *other == text).count() {
                1 => Severity::Warning,
                _ => Severity::Error,
            };
            let hint = "keep one of the two";
            let report = field.report();
            report.add(&field.place(), severity, "duplicate-host", message, hint);
            continue;
        }
        hosts.push((host, field.place()));
    }
    hosts
}
