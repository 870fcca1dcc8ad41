//! On what terms a service is called: the routes that a caller's requests may take, and what holds for where they lead.

use super::{
    call::{Leg, Node, Terms},
    mesh::Mesh,
};
use crate::{
    config::{
        istio::{
            http_match::MatchRule,
            rule::{DestinationRef, ForwardRule, Rule, RuleAction},
        },
        link::{clusters::effective, labels::contains},
    },
    layers::{
        retry::params::Budget,
        route::params::{FieldName, StringMatch},
    },
};

/// More routes than this of one host are not looked at.
const MAX_ROUTES: usize = 256;

/// The terms on which one calls another, one for each route.
pub(super) fn of<'a>(mesh: &Mesh<'a>, caller: &Node, callee: &Node) -> Vec<Terms<'a>> {
    let Some(host) = &callee.host else {
        return Vec::new();
    };
    let mut all = Vec::new();
    if let Some(service) = mesh.claim(host) {
        for rule in service.rules.iter().take(MAX_ROUTES) {
            let Some(RuleAction::Forward(forward)) = &rule.action else {
                continue;
            };
            if applies(rule, caller) {
                all.push(written(mesh, caller, rule, forward));
            }
            let for_all = |m: &MatchRule| m.is_catch_all() && is_open(m);
            if rule.matches.is_empty() || rule.matches.iter().any(for_all) {
                break;
            }
        }
        return all;
    }
    if let Some((host, known)) = mesh.registry.services.get_key_value(host) {
        all.push(Terms {
            place: &known.place,
            route: None,
            timeout: None,
            retry: mesh.default_retry,
            written: false,
            stream: false,
            budget: budget(mesh, host, &known.namespace),
            legs: vec![leg(mesh, caller, host, None, 1.0)],
        });
    }
    all
}

/// Whether it asks nothing of the caller.
fn is_open(alternative: &MatchRule) -> bool {
    alternative.gateways.is_none()
        && alternative.source_labels.is_empty()
        && alternative.source_namespace.is_none()
}

fn applies(rule: &Rule, caller: &Node) -> bool {
    let fits = |m: &MatchRule| match &m.gateways {
        Some(gateways) => gateways.iter().any(|g| g == "mesh"),
        None => {
            let space = m.source_namespace.as_ref();
            contains(&caller.labels, &m.source_labels)
                && space.is_none_or(|s| *s == caller.namespace)
        }
    };
    rule.matches.is_empty() || rule.matches.iter().any(fits)
}

fn written<'a>(
    mesh: &Mesh<'a>,
    caller: &Node,
    rule: &'a Rule,
    forward: &'a ForwardRule,
) -> Terms<'a> {
    let sum: u32 = forward.destinations.iter().map(|d| d.weight).sum();
    let used = forward.destinations.iter().filter(|d| d.weight > 0);
    let legs: Vec<_> = used
        .map(|d| {
            leg(
                mesh,
                caller,
                &d.host,
                Some(d),
                f64::from(d.weight) / f64::from(sum.max(1)),
            )
        })
        .collect();
    let mut budgets = legs.iter().filter_map(|leg| {
        let known = mesh.registry.services.get(leg.host);
        budget(mesh, leg.host, known.map_or("", |known| &known.namespace))
    });
    Terms {
        place: &rule.place,
        route: rule.name.as_deref(),
        timeout: forward.timeout,
        retry: &forward.retry,
        written: true,
        stream: is_stream(rule),
        budget: budgets.next_back(),
        legs,
    }
}

/// The budget that an LlmPolicy gives a host.
fn budget(mesh: &Mesh<'_>, host: &str, namespace: &str) -> Option<Budget> {
    mesh.policy(host, namespace)?.model.retries.budget
}

fn leg<'a>(
    mesh: &Mesh<'a>,
    caller: &Node,
    host: &'a str,
    to: Option<&'a DestinationRef>,
    share: f64,
) -> Leg<'a> {
    let known = mesh.registry.services.get(host);
    let namespace = known.map_or("", |known| known.namespace.as_str());
    let merged = mesh.rules.seen_from(&caller.namespace, host, namespace);
    let subset = to
        .and_then(|to| to.subset.as_ref())
        .map(|(name, _)| name.as_str());
    let of_subset = subset.and_then(|name| merged?.subsets.get(name).copied());
    let port = to
        .and_then(|to| to.port.as_ref())
        .map(|(number, _)| *number);
    let port = port.or_else(|| known?.ports.first().map(|p| p.number));
    let blocks = effective(merged, of_subset, port.unwrap_or(80));
    Leg {
        host,
        subset,
        share,
        rule: merged,
        outlier: blocks.outlier,
        pool: blocks.pool,
        budget: blocks.retry_budget,
    }
}

/// Whether a rule is for requests that ask for an event stream.
fn is_stream(rule: &Rule) -> bool {
    let asks = |(name, value): &(FieldName, StringMatch)| {
        matches!(name, FieldName::Header(header) if *header == http::header::ACCEPT)
            && matches!(value, StringMatch::Exact(v) | StringMatch::Prefix(v) if v.starts_with("text/event-stream"))
    };
    let mut matches = rule.matches.iter();
    matches.any(|m| m.condition.headers.iter().any(asks))
}
