//! Why a name leads nowhere: what was looked at, what is loaded instead, and why that does not fit.

use super::{
    hidden::NOT_EXPORTED,
    linker::Linker,
    rules::{Merged, ROOT_NAMESPACE},
};
use crate::config::{decode::nearest, istio::destination_rule::DestinationRule, names};

/// The most resources that one finding names.
const MAX_NAMED: usize = 3;

// === impl Linker ===

impl Linker<'_> {
    /// Notes what does not concern this caller.
    pub(super) fn check_hidden(&self) {
        let services = self
            .hidden
            .services
            .iter()
            .map(|(_, place)| (place, NOT_EXPORTED));
        let rules = self
            .hidden
            .rules
            .iter()
            .map(|(rule, why)| (&rule.place, *why));
        let routes = self.hidden.virtual_services.iter();
        let routes = routes.map(|service| (&service.place, NOT_EXPORTED));
        for (place, why) in services.chain(rules).chain(routes) {
            let message = format!(
                "no effect on callers in namespace {}: {why}",
                self.namespace
            );
            self.report.note(place, "not-for-this-caller", message, "");
        }
    }

    /// What is loaded in the place of a host that is not known, and the way out.
    pub(super) fn instead_of(&self, host: &str) -> (String, String) {
        let known = &self.registry.services;
        let first = host.split('.').next().unwrap_or_default();
        let place = |name: &str| known.get(name).map(|known| known.place.to_string());
        if first != host
            && let Some(place) = place(first)
        {
            let why = format!(
                "; {place} has the host `{first}`, and a name in a ServiceEntry is taken as it is"
            );
            return (why, format!("write {host} there"));
        }
        if let Some(hidden) = self.hidden.services.iter().find(|(name, _)| name == host) {
            let why = format!("; {} has it, but {NOT_EXPORTED}", hidden.1);
            return (why, "add the namespace to its `exportTo`".to_owned());
        }
        for full in [
            format!("{host}.svc.{}", names::DOMAIN),
            format!("{host}.{}", names::DOMAIN),
        ] {
            if let Some(place) = place(&full) {
                let why = format!("; {full} is ({place}), and a name with a dot is taken as it is");
                return (why, format!("write {full}"));
            }
        }
        let mut alike = known
            .iter()
            .filter(|(name, _)| name.split('.').next() == Some(first));
        let named: Vec<_> = alike
            .by_ref()
            .take(MAX_NAMED)
            .map(|(name, known)| format!("{name} is ({})", known.place))
            .collect();
        if !named.is_empty() {
            let why = format!("; {}{}", named.join("; "), and_more(alike.count()));
            return (
                why,
                "write the full name of the one that is meant".to_owned(),
            );
        }
        // The long common end of full names says nothing about what was meant.
        let near = known.keys().map(String::as_str).filter(|name| {
            let label = name.split('.').next();
            nearest(first, label).is_some()
        });
        let hint = nearest(host, near).map_or_else(
            || "load one, or check the spelling and the namespace".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        (String::new(), hint)
    }

    /// Where rules for a host are looked for, and which that are loaded are not among them.
    pub(super) fn rules_looked_at(
        &self,
        host: &str,
        service: &str,
        found: Option<&Merged<'_>>,
    ) -> String {
        let mut text = format!("; looked at: DestinationRules in {}", self.spaces(service));
        let first = host.split('.').next();
        let others = self.all_rules.iter().map(|rule| (rule, None));
        let hidden = self
            .hidden
            .rules
            .iter()
            .map(|(rule, why)| (rule, Some(*why)));
        let mut unfit = others.chain(hidden).filter_map(|(rule, why)| {
            let why = match why {
                _ if found.is_some_and(|found| found.is_of(rule)) => return None,
                _ if !names::covers(&rule.host, host) => {
                    let alike = rule.host.split('.').next() == first;
                    return alike.then(|| format!("; {} is for {}", rule.place, rule.host));
                }
                Some(why) => why.to_owned(),
                None if !self.is_looked_at(&rule.origin.namespace, service) => {
                    format!("it is in namespace {}", rule.origin.namespace)
                }
                None => {
                    let first = found.map(|found| found.first.place.to_string());
                    format!("{} goes before it", first.unwrap_or_default())
                }
            };
            Some(format!("; {} is not one of them: {why}", rule.place))
        });
        text.extend(unfit.by_ref().take(MAX_NAMED));
        text + &and_more(unfit.count())
    }

    /// Whether rules in a namespace count for services in another.
    pub(super) fn is_looked_at(&self, namespace: &str, service: &str) -> bool {
        namespace == self.namespace || namespace == service || namespace == ROOT_NAMESPACE
    }

    /// The namespaces whose rules count for services in one.
    pub(super) fn spaces(&self, service: &str) -> String {
        let caller = &self.namespace;
        if service == caller || service.is_empty() {
            let whose = if service.is_empty() {
                ""
            } else {
                " and the service's"
            };
            format!("namespace {caller} (the caller's{whose}) and {ROOT_NAMESPACE} (the mesh's)")
        } else {
            format!(
                "namespace {caller} (the caller's), {service} (the service's) and {ROOT_NAMESPACE} (the mesh's)"
            )
        }
    }

    /// Reports rules that are in force for no host: nobody looks at them, or others go before them.
    pub(super) fn check_reach_of(&self, rule: &DestinationRule) {
        let services = &self.registry.services;
        let exact = services.get_key_value(&rule.host);
        let wild = rule.host.starts_with('*');
        let all = services
            .iter()
            .filter(|(host, _)| wild && names::covers(&rule.host, host));
        let covered: Vec<_> = exact.into_iter().chain(all).collect();
        let Some((host, known)) = covered.first() else {
            return;
        };
        let seen = |namespace: &str| self.is_looked_at(&rule.origin.namespace, namespace);
        if !covered.iter().any(|(_, known)| seen(&known.namespace)) {
            let message = format!(
                "in force for no host: for {host} only rules in {} are looked at, and this one is in namespace {}",
                self.spaces(&known.namespace),
                rule.origin.namespace
            );
            let hint = format!(
                "move it to namespace {} or {ROOT_NAMESPACE}",
                known.namespace
            );
            let name = "rule-not-looked-at";
            self.report.warn(&rule.place, name, message, hint);
            return;
        }
        let winner = |(host, known): &(&String, &super::registry::Known)| {
            let found = self.rules.of(host, &known.namespace)?;
            (!found.is_of(rule)).then_some(found.first)
        };
        let winners: Option<Vec<_>> = covered.iter().map(winner).collect();
        if let Some(first) = winners.and_then(|all| all.first().copied()) {
            let message = format!(
                "in force for no host: for {host} {} goes before it",
                first.place
            );
            self.report
                .note(&rule.place, "rule-not-looked-at", message, "");
        }
    }
}

fn and_more(more: usize) -> String {
    if more == 0 {
        String::new()
    } else {
        format!("; and {more} more")
    }
}
