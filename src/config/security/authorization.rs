//! AuthorizationPolicy (Istio semantics 4.2).

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    config::decode::Field,
    layers::authz::params::{Action, Condition, Policy, Rule, Sight, Subject},
};

/// The fields of a source and of an operation, and their negations.
const FIELDS: [(&str, &str, Subject); 11] = [
    ("principals", "notPrincipals", Subject::Principal),
    (
        "requestPrincipals",
        "notRequestPrincipals",
        Subject::RequestPrincipal,
    ),
    ("namespaces", "notNamespaces", Subject::Namespace),
    (
        "serviceAccounts",
        "notServiceAccounts",
        Subject::ServiceAccount,
    ),
    ("trustDomains", "notTrustDomains", Subject::TrustDomain),
    ("ipBlocks", "notIpBlocks", Subject::SourceIp),
    ("remoteIpBlocks", "notRemoteIpBlocks", Subject::RemoteIp),
    ("hosts", "notHosts", Subject::Host),
    ("ports", "notPorts", Subject::Port),
    ("methods", "notMethods", Subject::Method),
    ("paths", "notPaths", Subject::Path),
];

/// Reads a policy. `None` if it is for gateways and waypoints alone.
pub(super) fn read(root: &Field<'_>) -> Option<Policy> {
    let origin = root.origin();
    let action = match root.peek_str(&["spec", "action"]) {
        Some("DENY") => Action::Deny,
        Some("AUDIT") => Action::Audit,
        Some("CUSTOM") => Action::Custom,
        _ => Action::Allow,
    };
    let mut policy = Policy::new(origin.namespace.as_str(), origin.name.as_str(), action);
    policy.file = Arc::clone(&origin.file);
    policy.line = root.line();
    let dry = root.peek_str(&["metadata", "annotations", "istio.io/dry-run"]);
    policy.dry_run =
        dry.is_some_and(|dry| matches!(dry, "1" | "t" | "T" | "true" | "TRUE" | "True"));
    let Some(spec) = root.step("spec") else {
        return Some(policy);
    };
    for target in ["targetRef", "targetRefs"] {
        if let Some(target) = spec.given(target) {
            let message =
                "a policy with targets is for gateways and waypoints: it has no effect here";
            target.note("not-in-force", message, "name workloads by `selector`");
            return None;
        }
    }
    policy.selector = selector(&spec);
    for rule in spec.items("rules") {
        policy.rules.push(read_rule(&rule));
    }
    if action == Action::Custom {
        let message = "CUSTOM asks an external provider, which is not in force: what its rules match is refused";
        spec.warn("not-in-force", message, "use ALLOW or DENY");
    }
    for rule in &policy.rules {
        warn_of_unseen(root, rule, action);
    }
    Some(policy)
}

/// `selector.matchLabels`
pub(super) fn selector(spec: &Field<'_>) -> BTreeMap<String, String> {
    let labels = spec.step("selector").and_then(|s| s.step("matchLabels"));
    let entries = labels.map(|labels| labels.entries_of()).unwrap_or_default();
    entries
        .into_iter()
        .map(|(key, value)| {
            let text = value.str_quietly().unwrap_or_default();
            (key.to_owned(), text.to_owned())
        })
        .collect()
}

fn read_rule(field: &Field<'_>) -> Rule {
    let choices = |list: &str, name: &str| {
        let items = field.items(list).into_iter();
        let each = items.filter_map(|item| Some(conditions(&item.step(name)?)));
        each.collect()
    };
    let mut rule = Rule {
        from: choices("from", "source"),
        to: choices("to", "operation"),
        when: Vec::new(),
        line: field.line(),
    };
    for when in field.items("when") {
        let subject = subject(when.peek_str(&["key"]).unwrap_or_default());
        rule.when.extend(of(&when, "values", "notValues", &subject));
    }
    rule
}

fn conditions(field: &Field<'_>) -> Vec<Condition> {
    let all = FIELDS.iter();
    all.flat_map(|(name, not, subject)| of(field, name, not, subject))
        .collect()
}

/// The condition of a field, and that of its negation.
fn of(field: &Field<'_>, name: &str, not: &str, subject: &Subject) -> Vec<Condition> {
    let texts = |name| {
        let texts = field.texts(name).into_iter();
        texts.map(|(text, _)| text.to_owned()).collect::<Vec<_>>()
    };
    let mut all = Vec::new();
    if field.given(name).is_some() {
        all.push(Condition::any(subject.clone(), texts(name)));
    }
    if field.given(not).is_some() {
        all.push(Condition::none(subject.clone(), texts(not)));
    }
    all
}

/// What the key of a condition means.
fn subject(key: &str) -> Subject {
    let inside = |prefix: &str| {
        let rest = key.strip_prefix(prefix)?.strip_prefix('[')?;
        rest.strip_suffix(']')
    };
    if let Some(name) = inside("request.headers") {
        return Subject::Header(name.to_ascii_lowercase());
    }
    if let Some(path) = inside("request.auth.claims") {
        return Subject::Claim(path.split("][").map(str::to_owned).collect());
    }
    match key {
        "source.ip" => Subject::SourceIp,
        "remote.ip" => Subject::RemoteIp,
        "source.namespace" => Subject::Namespace,
        "source.principal" => Subject::Principal,
        "source.serviceAccount" => Subject::ServiceAccount,
        "source.trustDomain" => Subject::TrustDomain,
        "request.auth.principal" => Subject::RequestPrincipal,
        "request.auth.audiences" => Subject::Audience,
        "request.auth.presenter" => Subject::Presenter,
        "destination.ip" => Subject::DestinationIp,
        "destination.port" => Subject::Port,
        "connection.sni" => Subject::Sni,
        other => Subject::Unseen(other.to_owned()),
    }
}

/// Rules that look at what nobody looks at here.
fn warn_of_unseen(root: &Field<'_>, rule: &Rule, action: Action) {
    let choices = rule.from.iter().chain(&rule.to).flatten();
    let mut unseen = choices
        .chain(&rule.when)
        .filter(|condition| !condition.subject.is_seen(Sight::http()));
    let Some(condition) = unseen.next() else {
        return;
    };
    let what = match &condition.subject {
        Subject::Unseen(key) => format!("`{key}` cannot be seen"),
        _ => "tokens are not checked (RequestAuthentication is not in force)".to_owned(),
    };
    let so = match action {
        Action::Allow => "this rule lets nobody in",
        Action::Deny | Action::Custom => "this rule refuses as if that condition matched",
        Action::Audit => "this rule notes as if that condition matched",
    };
    let mut place = root.place();
    place.line = rule.line;
    let message = format!("{what}: {so}");
    root.report().warn(&place, "not-in-force", message, "");
}
