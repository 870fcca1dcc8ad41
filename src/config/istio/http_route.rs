//! `http[]` of a VirtualService: one rule.

use std::time::Duration;

use super::{
    headers,
    http_match::{self, MatchRule},
    retries, rewrite,
    rule::{DestinationRef, ForwardRule, Rule, RuleAction},
};
use crate::{
    config::{
        decode::{Field, Least, Object},
        diagnostic::Severity,
        names,
    },
    layers::retry,
};

type Default<'a> = &'a retry::params::Params;

/// The names of gRPC status codes, from 0.
const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Reads one rule.
pub(super) fn read(field: &Field<'_>, default_retry: Default<'_>) -> Option<Rule> {
    let object = field.object()?;
    let name = object.str("name").map(str::to_owned);
    let (matches, complete) = matches(&object);
    check_companions(&object);
    let action = match object.one_of(&["route", "redirect", "directResponse", "delegate"]) {
        Some("route") => forward(&object, default_retry),
        Some("redirect") => rewrite::redirect(&object).map(RuleAction::Redirect),
        Some("directResponse") => rewrite::direct(&object).map(|(s, b)| RuleAction::Direct(s, b)),
        Some(_) => {
            object.not_in_force("delegate", Severity::Warning, "the rule is left out");
            None
        }
        None => {
            field.error(
                "no-action",
                "the rule does nothing",
                "add `route`, `redirect` or `directResponse`",
            );
            None
        }
    };
    known(&object);
    Some(Rule {
        name,
        place: field.place(),
        matches,
        action: action.filter(|_| complete),
    })
}

/// The alternatives, and whether all could be read.
fn matches(object: &Object<'_>) -> (Vec<MatchRule>, bool) {
    let items = object.list("match");
    let matches: Vec<_> = items.iter().filter_map(http_match::read).collect();
    let complete = matches.len() == items.len();
    (matches, complete)
}

fn check_companions(object: &Object<'_>) {
    let answers = ["redirect", "directResponse"]
        .into_iter()
        .find(|name| object.raw(name).is_some());
    if let Some(answer) = answers {
        for name in ["fault", "rewrite"] {
            if let Some(field) = object.raw(name) {
                let message = format!("`{name}` and `{answer}` exclude each other");
                field.error("one-of", message, "keep one of them");
            }
        }
    }
    if object.raw("mirror").is_some() {
        object.one_of(&["mirror", "mirrors"]);
    }
}

/// Fields that are read elsewhere, or valid and without effect.
fn known(object: &Object<'_>) {
    for name in ["timeout", "retries", "rewrite", "headers"] {
        object.raw(name);
    }
    object.not_in_force(
        "fault",
        Severity::Warning,
        "no delay or abort is injected (under Istio a delay is not part of `timeout`, and an abort is not retried)",
    );
    object.not_in_force("mirror", Severity::Warning, "no copy is sent");
    object.not_in_force("mirrors", Severity::Warning, "no copy is sent");
    object.not_in_force(
        "corsPolicy",
        Severity::Warning,
        "preflight requests go upstream",
    );
    if let Some(percent) = object.get("mirrorPercentage").and_then(|p| p.object()) {
        percent.get("value").and_then(|value| value.percent());
    }
    if let Some(field) = object.get("mirrorPercent") {
        field.u32();
        field.warn(
            "deprecated",
            "`mirrorPercent` is deprecated",
            "use `mirrorPercentage.value`",
        );
    }
    if let Some(fault) = object.object("fault") {
        check_fault(&fault);
    }
}

/// Istio's rules for faults, so that a mistake is seen before they come into force.
fn check_fault(fault: &Object<'_>) {
    if fault.is_empty() {
        fault
            .field()
            .error("empty-fault", "`fault` needs `delay` or `abort`", "");
    }
    for name in ["delay", "abort"] {
        let Some(part) = fault.object(name) else {
            continue;
        };
        if let Some(percentage) = part.object("percentage") {
            percentage.get("value").and_then(|value| value.percent());
        } else if let Some(percent) = part.get("percent") {
            percent.int(0, 100);
            percent.warn(
                "deprecated",
                "`percent` is deprecated",
                "use `percentage.value`",
            );
        } else {
            let hint = "add `percentage: {value: …}`";
            part.field().warn(
                "fault-without-percentage",
                "without a percentage it never happens",
                hint,
            );
        }
        if name == "delay" {
            if let Some(delay) = part.require("fixedDelay") {
                delay.duration(Least::Millisecond);
            }
        } else if part.one_of(&["httpStatus", "grpcStatus"]) == Some("httpStatus") {
            part.get("httpStatus")
                .and_then(|status| status.int(200, 600));
        } else if let Some(status) = part.get("grpcStatus") {
            status.word(&GRPC_STATUS.map(|name| (name, ())));
        }
    }
}

fn forward(object: &Object<'_>, default_retry: Default<'_>) -> Option<RuleAction> {
    let list = object.get("route")?;
    let items = list.list();
    let mut destinations: Vec<_> = items.iter().filter_map(destination).collect();
    let complete = !items.is_empty() && destinations.len() == items.len();
    if items.is_empty() {
        list.error("no-destination", "`route` has no destination", "");
    } else if complete && items.len() > 1 && destinations.iter().all(|(d, _)| d.weight == 0) {
        let message = "the weights of all destinations are 0";
        let hint = "give each its share; the shares need not sum to 100";
        list.error("zero-weights", message, hint);
    }
    let timeout = timeout(object);
    let retry = retry(object, timeout, default_retry);
    let mut rewrite = rewrite::rewrite(object);
    let (headers, mut authority) = headers::read(object);
    if let [(only, own)] = destinations.as_mut_slice() {
        // Its weight does not matter, absent or 0 included.
        only.weight = only.weight.max(1);
        authority = authority.or_else(|| own.take());
    } else if destinations.iter().any(|(_, own)| own.is_some()) {
        let message = "a new `host` for one of several destinations is valid but not in force in llmesh: the caller's is kept";
        let hint = "use `rewrite.authority`, for all of them";
        list.warn("not-in-force", message, hint);
    }
    if let Some(authority) = authority {
        rewrite.get_or_insert_default().authority = Some(authority);
    }
    let rule = ForwardRule {
        destinations: destinations.into_iter().map(|(d, _)| d).collect(),
        timeout,
        retry: retry?,
        rewrite,
        headers,
    };
    complete.then(|| RuleAction::Forward(Box::new(rule)))
}

/// The retry policy. A per-try timeout that is no shorter than the whole one is dropped, as by Envoy.
fn retry(
    object: &Object<'_>,
    timeout: Option<Duration>,
    default: Default<'_>,
) -> Option<retry::params::Params> {
    let Some(field) = object.get("retries") else {
        return Some(default.clone());
    };
    let mut retry = retries::read(&field, default)?;
    if let (Some(total), Some(per_try)) = (timeout, retry.per_try_timeout)
        && per_try >= total
    {
        retry.per_try_timeout = None;
        field.step("perTryTimeout").unwrap_or(field).warn(
            "try-timeout-without-effect",
            "it is not shorter than the rule's `timeout` and is ignored, as by Envoy",
            "make it shorter than `timeout`",
        );
    }
    Some(retry)
}

fn timeout(object: &Object<'_>) -> Option<Duration> {
    let field = object.get("timeout")?;
    let timeout = field.duration(Least::Zero)?;
    if timeout.is_zero() {
        field.warn(
            "zero-timeout",
            "0s is taken as no timeout; Istio's admission refuses it",
            "remove the field for no timeout",
        );
        return None;
    }
    Some(timeout)
}

fn destination(field: &Field<'_>) -> Option<(DestinationRef, Option<String>)> {
    let object = field.object()?;
    let weight = object
        .get("weight")
        .map_or(Some(0), |weight| weight.count());
    let (headers, authority) = headers::read(&object);
    let inner = object.require("destination")?.object()?;
    let subset = inner.get("subset").and_then(|subset| {
        let name = subset.str()?;
        if !names::is_dns_label(name) {
            let message = format!("{name:?} is no subset name");
            subset.error("bad-name", message, "lower-case letters, digits and `-`");
            return None;
        }
        Some((name.to_owned(), subset.place()))
    });
    let port = inner.object("port").and_then(|port| {
        let number = port.require("number")?;
        Some((number.port()?, number.place()))
    });
    let host = inner.require("host")?;
    let name = host.str()?;
    if name.contains('*') {
        host.error("bad-host", "a destination must be one host", "");
        return None;
    }
    if let Err(why) = names::check_host(name) {
        host.error("bad-host", format!("{name:?}: {why}"), "");
        return None;
    }
    let destination = DestinationRef {
        place: host.place(),
        host: names::fqdn(name, &field.origin().namespace),
        subset,
        port,
        weight: weight?,
        headers,
    };
    Some((destination, authority))
}
