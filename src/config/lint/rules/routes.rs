//! VirtualService: rules that are never reached, and timeouts and retries that do not go together.

use std::collections::{HashMap, HashSet};

use crate::{
    config::{
        diagnostic::Report,
        istio::{
            http_match::MatchRule,
            rule::{ForwardRule, Rule, RuleAction},
            virtual_service::VirtualService,
        },
    },
    layers::route::params::{FieldName, StringMatch},
};

pub(in crate::config::lint) fn check(service: &VirtualService, report: &Report) {
    check_reach(service, report);
    let timed = service
        .rules
        .iter()
        .filter_map(forward)
        .any(|rule| rule.timeout.is_some());
    for rule in &service.rules {
        let Some(forward) = forward(rule) else {
            continue;
        };
        check_tries(rule, forward, report);
        check_streaming(rule, forward, report);
        if timed && forward.timeout.is_none() {
            report.note(
                &rule.place,
                "rule-without-timeout",
                "other rules have a timeout, this one has none: its requests may take for ever",
                "add `timeout`",
            );
        }
    }
}

fn forward(rule: &Rule) -> Option<&ForwardRule> {
    match &rule.action {
        Some(RuleAction::Forward(forward)) => Some(forward),
        _ => None,
    }
}

/// Rules after one that matches everything, and alternatives that an earlier one covers.
fn check_reach(service: &VirtualService, report: &Report) {
    let mut catch_all: Option<&Rule> = None;
    let mut prefixes: HashMap<&str, u32> = HashMap::new();
    let mut seen: HashSet<String> = HashSet::new();
    for rule in &service.rules {
        if let Some(earlier) = catch_all {
            let message = format!(
                "this rule is never reached: the one in line {} matches everything",
                earlier.place.line
            );
            let hint = "move the rule that matches everything to the end";
            report.warn(&rule.place, "unreachable-rule", message, hint);
            continue;
        }
        for alternative in &rule.matches {
            if is_conditional(alternative) {
                continue;
            }
            let covered = covering(alternative, &prefixes);
            let repeated = !seen.insert(format!("{:?}", alternative.condition));
            if covered.is_some() || repeated {
                let message = match covered {
                    Some(line) => format!("never reached: the prefix in line {line} covers it"),
                    None => "never reached: an earlier match asks the same".to_owned(),
                };
                let hint = "put the narrower match first";
                report.warn(&alternative.place, "shadowed-match", message, hint);
            }
        }
        for alternative in rule.matches.iter().filter(|a| !is_conditional(a)) {
            if let Some(StringMatch::Prefix(prefix)) = &alternative.condition.uri
                && alternative.is_uri_only()
            {
                prefixes.entry(prefix).or_insert(alternative.place.line);
            }
        }
        let all =
            |alternative: &MatchRule| !is_conditional(alternative) && alternative.is_catch_all();
        if rule.matches.is_empty() || rule.matches.iter().any(all) {
            catch_all = Some(rule);
        }
    }
}

/// Whether it may be left out when the mesh is built.
fn is_conditional(alternative: &MatchRule) -> bool {
    alternative.gateways.is_some()
        || !alternative.source_labels.is_empty()
        || alternative.source_namespace.is_some()
}

/// The line of an earlier bare prefix that covers a match's path.
fn covering(alternative: &MatchRule, prefixes: &HashMap<&str, u32>) -> Option<u32> {
    let condition = &alternative.condition;
    let (StringMatch::Exact(path) | StringMatch::Prefix(path)) = condition.uri.as_ref()? else {
        return None;
    };
    if condition.ignore_uri_case || prefixes.is_empty() {
        return None;
    }
    path.char_indices()
        .map(|(at, _)| at)
        .chain([path.len()])
        .take(1024)
        .find_map(|end| prefixes.get(&path[..end]).copied())
}

fn check_tries(rule: &Rule, forward: &ForwardRule, report: &Report) {
    let (Some(total), Some(per_try)) = (forward.timeout, forward.retry.per_try_timeout) else {
        return;
    };
    let sends = forward.retry.retries.saturating_add(1);
    if per_try.saturating_mul(sends) > total {
        let message = format!(
            "{sends} sends of {per_try:?} each do not fit into the timeout of {total:?}: the last can only happen if earlier ones fail fast"
        );
        let hint = "lower `attempts` or `perTryTimeout`, or raise `timeout`";
        report.warn(&rule.place, "retries-exceed-timeout", message, hint);
    }
}

fn check_streaming(rule: &Rule, forward: &ForwardRule, report: &Report) {
    let Some(timeout) = forward.timeout else {
        return;
    };
    let event_stream = rule.matches.iter().any(|alternative| {
        alternative.condition.headers.iter().any(|(name, value)| {
            matches!(name, FieldName::Header(header) if *header == http::header::ACCEPT)
                && matches!(value, StringMatch::Exact(v) | StringMatch::Prefix(v) if v.starts_with("text/event-stream"))
        })
    });
    if !event_stream {
        return;
    }
    let retries = if forward.retry.retries == 0 {
        "; without retries a refused connection is not retried either"
    } else {
        ""
    };
    let message = format!(
        "the timeout of {timeout:?} is for the whole response: a stream is cut then even while it flows{retries}"
    );
    let hint = "make it as long as the longest stream";
    report.note(&rule.place, "stream-timeout", message, hint);
}
