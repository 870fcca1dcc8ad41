//! Rules of a VirtualService to routes.

use std::sync::Arc;

use super::{
    labels::contains,
    linker::{Linker, unserved},
};
use crate::{
    config::{
        decode::nearest,
        diagnostic::Place,
        istio::{
            http_match::MatchRule,
            rule::{DestinationRef, ForwardRule, Rule, RuleAction},
            virtual_service::VirtualService,
        },
        names,
    },
    layers::{
        deadline,
        route::params::{Action, Destination, Forward, Match, Route},
    },
    model::ClusterName,
};

// === impl Linker ===

impl Linker<'_> {
    /// The routes of a VirtualService for a host with these ports.
    pub(super) fn routes(&self, service: &VirtualService, ports: &[u16]) -> Vec<Route> {
        let mut routes = Vec::new();
        for rule in &service.rules {
            let Some(action) = &rule.action else { continue };
            let alternatives: Vec<_> = rule
                .matches
                .iter()
                .filter(|alternative| self.applies(alternative))
                .collect();
            if alternatives.is_empty() && !rule.matches.is_empty() {
                continue;
            }
            let own = [ports.first().copied().unwrap_or(80)];
            let by_port = ports.len() > 1 && self.depends_on_port(action);
            for port in if by_port { ports } else { &own } {
                let action = self.action(action, *port);
                let matches = alternatives.iter().filter_map(|alternative| {
                    let mut condition = alternative.condition.clone();
                    if by_port && *condition.port.get_or_insert(*port) != *port {
                        return None;
                    }
                    Some((alternative.name.as_deref(), condition))
                });
                let mut matches: Vec<_> = matches.collect();
                if rule.matches.is_empty() && by_port {
                    let condition = Match {
                        port: Some(*port),
                        ..Match::default()
                    };
                    matches.push((None, condition));
                }
                if matches.is_empty() && !rule.matches.is_empty() {
                    continue;
                }
                push(rule, matches, action, &mut routes);
            }
        }
        routes
    }

    /// Whether an alternative concerns this caller, as far as that is known beforehand.
    fn applies(&self, alternative: &MatchRule) -> bool {
        let from_here = match &alternative.gateways {
            Some(gateways) => gateways.iter().any(|gateway| gateway == "mesh"),
            None => contains(&self.options.workload_labels, &alternative.source_labels),
        };
        let namespace = alternative.source_namespace.as_ref();
        from_here && namespace.is_none_or(|namespace| *namespace == self.namespace)
    }

    /// Whether a destination takes the port that the caller addressed.
    fn depends_on_port(&self, action: &RuleAction) -> bool {
        let RuleAction::Forward(forward) = action else {
            return false;
        };
        forward.destinations.iter().any(|destination| {
            let known = self.registry.concrete(&destination.host);
            destination.port.is_none() && known.is_none_or(|(_, known)| known.ports.len() != 1)
        })
    }

    fn action(&self, action: &RuleAction, port: u16) -> Action {
        match action {
            RuleAction::Forward(rule) => Action::Forward(Box::new(self.forward(rule, port))),
            RuleAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
            RuleAction::Direct(status, body, headers) => Action::Direct {
                status: *status,
                body: body.clone(),
                headers: (**headers).clone(),
            },
        }
    }

    fn forward(&self, rule: &ForwardRule, port: u16) -> Forward {
        let some = rule.destinations.iter().any(|d| d.weight > 0);
        let destinations = rule.destinations.iter().map(|destination| Destination {
            cluster: self.destination(destination, port, some && destination.weight == 0),
            weight: destination.weight,
            headers: destination.headers.clone(),
        });
        let deadline = deadline::params::Params {
            timeout: rule.timeout,
            ..deadline::params::Params::default()
        };
        Forward {
            destinations: destinations.collect(),
            deadline,
            retry: rule.retry.clone(),
            rewrite: rule.rewrite.clone(),
            headers: rule.headers.clone(),
        }
    }

    /// The cluster of a destination. It may not exist: requests are then answered 503 (NC). `idle`: none are sent there.
    fn destination(&self, destination: &DestinationRef, port: u16, idle: bool) -> Arc<str> {
        let (severity, unserved) = unserved(idle);
        let (host, known) = match self.registry.concrete(&destination.host) {
            Some((host, known)) => (host, Some(known)),
            None => (destination.host.as_str(), None),
        };
        if known.is_none() {
            self.unreachable_host(host, &destination.place, idle);
        }
        let only = known.filter(|known| known.ports.len() == 1);
        let number = match (
            &destination.port,
            only.and_then(|known| known.ports.first()),
        ) {
            (Some((number, _)), _) => *number,
            (None, Some(only)) => only.number,
            (None, None) => port,
        };
        if let Some(known) = known
            && !known.ports.iter().any(|p| p.number == number)
        {
            let all: Vec<_> = known.ports.iter().map(|p| p.number.to_string()).collect();
            let message = format!("{host} has no port {number}: {unserved}");
            let hint = format!("its ports are: {}", all.join(", "));
            let place = destination.port.as_ref();
            let place = place.map_or(&destination.place, |(_, place)| place);
            self.report
                .add(place, severity, "unknown-port", message, hint);
        }
        if let Some((subset, place)) = &destination.subset {
            let namespace = known.map(|known| known.namespace.as_str());
            self.check_subset((host, namespace), subset, place, idle);
        }
        let subset = destination.subset.as_ref().map_or("", |(name, _)| name);
        ClusterName::new(number, subset, host).to_string().into()
    }

    fn check_subset(
        &self,
        (host, namespace): (&str, Option<&str>),
        subset: &str,
        place: &Place,
        idle: bool,
    ) {
        let (severity, unserved) = unserved(idle);
        let namespace = namespace
            .or_else(|| names::namespace_of(host))
            .unwrap_or_default();
        let merged = self.rules.of(host, namespace);
        if merged.is_some_and(|merged| merged.subsets.contains_key(subset)) {
            return;
        }
        let looked_at = self.rules_looked_at(host, namespace, merged);
        let Some(merged) = merged else {
            let message = format!(
                "no DestinationRule in force for {host} defines the subset `{subset}`, so {unserved}{looked_at}"
            );
            let hint = "load a DestinationRule for the host that has the subset".to_owned();
            let rule = (severity, "subset-without-rule");
            let told = if idle {
                format!("{subset} idle")
            } else {
                subset.to_owned()
            };
            self.missing((host, &told), place, rule, message, hint);
            return;
        };
        let all: Vec<_> = merged.subsets.keys().copied().collect();
        let hint = match nearest(subset, all.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if all.is_empty() => "add `subsets` to it".to_owned(),
            None => format!("its subsets are: {}", all.join(", ")),
        };
        let message = format!(
            "the subset `{subset}` of {host} is not defined by {}, so {unserved}{looked_at}",
            merged.first.place
        );
        self.report
            .add(place, severity, "vs-unknown-subset", message, hint);
    }
}

/// Adds a rule's routes: one, or one for each alternative where these have names.
fn push(rule: &Rule, matches: Vec<(Option<&str>, Match)>, action: Action, routes: &mut Vec<Route>) {
    let name: Arc<str> = rule.name.as_deref().unwrap_or("-").into();
    if matches.iter().all(|(name, _)| name.is_none()) {
        let mut route = Route::new(name, action);
        route.matches = matches
            .into_iter()
            .map(|(_, condition)| condition)
            .collect();
        routes.push(route);
        return;
    }
    for (own, condition) in matches {
        let name = match (rule.name.as_deref(), own) {
            (Some(rule), Some(own)) => format!("{rule}.{own}").into(),
            (None, Some(own)) => own.into(),
            (_, None) => Arc::clone(&name),
        };
        routes.push(Route::new(name, action.clone()).with_match(condition));
    }
}
