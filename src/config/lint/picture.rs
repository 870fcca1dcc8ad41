//! The mesh as a graph with figures.

use super::{
    call::{Call, Terms},
    chains::Chains,
    graph::{Graph, GraphCall},
    mesh::Mesh,
};
use crate::config::istio::{rule::RuleAction, traffic_policy::TrafficPolicy};

pub(super) fn of(mesh: &Mesh<'_>) -> Graph {
    let chains = Chains::of(mesh);
    let calls = mesh
        .calls
        .iter()
        .enumerate()
        .map(|(index, call)| GraphCall {
            from: call.caller,
            to: call.callee,
            figures: figures(call),
            amplification: chains.to(index).iter().map(|hop| hop.sends).product(),
            told_by: call.by,
        });
    Graph {
        nodes: mesh.nodes.iter().map(|node| node.name.clone()).collect(),
        calls: calls.collect(),
        settings: settings(mesh),
    }
}

fn figures(call: &Call<'_>) -> Vec<String> {
    let mut figures = Vec::new();
    if call.times > 1 {
        figures.push(format!("{} calls each", call.times));
    }
    if let (Some(rate), Some(latency)) = (call.rate, call.latency) {
        figures.push(format!(
            "{:.0} in flight",
            (rate * latency.as_secs_f64()).ceil()
        ));
    }
    let mut routes: Vec<String> = Vec::new();
    for terms in &call.terms {
        let text = route(terms);
        if !routes.contains(&text) {
            routes.push(text);
        }
    }
    match routes.as_slice() {
        [] => return vec!["not known".to_owned()],
        [one] => figures.push(one.clone()),
        // Names tell routes apart.
        _ => {
            let named = call
                .terms
                .iter()
                .map(|t| format!("{}: {}", t.route.unwrap_or("-"), route(t)));
            figures.extend(named.take(4));
        }
    }
    let legs: Vec<_> = call.terms.iter().flat_map(|terms| &terms.legs).collect();
    let with = legs.iter().filter(|leg| leg.outlier.is_some()).count();
    figures.push(match with {
        0 => "no breaker".to_owned(),
        n if n == legs.len() => "breaker".to_owned(),
        n => format!("breaker on {n} of {}", legs.len()),
    });
    figures
}

/// Timeout, sends and budget of a route.
fn route(terms: &Terms<'_>) -> String {
    let timeout = terms
        .timeout
        .map_or_else(|| "no timeout".to_owned(), |t| format!("{t:?}"));
    let sends = match (terms.sends(), terms.retry.per_try_timeout) {
        (1, _) => "1 send".to_owned(),
        (n, Some(each)) => format!("{n} sends of {each:?}"),
        (n, None) => format!("{n} sends"),
    };
    match terms.budget() {
        Some(share) if terms.sends() > 1 => {
            format!("{timeout}, {sends}, budget {:.0} %", share * 100.0)
        }
        _ => format!("{timeout}, {sends}"),
    }
}

/// How many timeouts, retries, limits and breakers are written.
fn settings(mesh: &Mesh<'_>) -> usize {
    let rules = mesh
        .resources
        .virtual_services
        .iter()
        .flat_map(|service| &service.rules);
    let of_rules = rules.filter_map(|rule| match &rule.action {
        Some(RuleAction::Forward(forward)) => Some(
            usize::from(forward.timeout.is_some())
                + usize::from(forward.retry != *mesh.default_retry)
                + usize::from(forward.retry.per_try_timeout.is_some()),
        ),
        _ => None,
    });
    let own = mesh.resources.destination_rules.iter().flat_map(|rule| {
        let subsets = rule
            .subsets
            .iter()
            .filter_map(|subset| subset.policy.as_ref());
        rule.policy.iter().chain(subsets)
    });
    let ports =
        own.flat_map(|policy| std::iter::once(policy).chain(policy.ports.iter().map(|(_, p)| p)));
    let blocks = |policy: &TrafficPolicy| {
        let given = [
            policy.pool.is_some(),
            policy.outlier.is_some(),
            policy.retry_budget.is_some(),
        ];
        given.into_iter().filter(|given| *given).count()
    };
    of_rules.sum::<usize>() + ports.map(blocks).sum::<usize>()
}
