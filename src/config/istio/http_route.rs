//! `http[]` of a VirtualService: one rule.

use std::time::Duration;

use super::{
    extras, headers,
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

/// Reads one rule.
pub(super) fn read(field: &Field<'_>, default_retry: Default<'_>) -> Option<Rule> {
    let object = field.object()?;
    let name = object.str("name").map(str::to_owned);
    let (matches, complete) = matches(&object);
    check_companions(&object);
    check_authority(&object);
    let action = action(&object);
    let done = match action {
        Some("route") => forward(&object, default_retry),
        Some("redirect") => rewrite::redirect(&object).map(|mut redirect| {
            redirect.headers = headers::read(&object).0;
            RuleAction::Redirect(redirect)
        }),
        Some("directResponse") => rewrite::direct(&object).map(|(status, body)| {
            RuleAction::Direct(status, body, Box::new(headers::read(&object).0))
        }),
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
    extras::check(&object);
    if action != Some("route") {
        // Without effect on an answer, and checked all the same.
        let timeout = timeout(&object);
        retry(&object, timeout, default_retry);
        rewrite::rewrite(&object);
        headers::read(&object);
    }
    Some(Rule {
        name,
        place: field.place(),
        matches,
        action: done.filter(|_| complete),
    })
}

/// The field that says what the rule does. Where several do, that is said elsewhere.
fn action(object: &Object<'_>) -> Option<&'static str> {
    let actions = ["delegate", "redirect", "directResponse", "route"];
    for name in actions {
        object.raw(name);
    }
    let field = object.field();
    let empty = field.step("route").filter(Field::is_empty_list);
    let given = actions.into_iter().find(|name| field.given(name).is_some());
    given.or_else(|| empty.map(|_| "route"))
}

/// The alternatives, and whether all could be read.
fn matches(object: &Object<'_>) -> (Vec<MatchRule>, bool) {
    let items = object.list("match");
    let matches: Vec<_> = items.iter().filter_map(http_match::read).collect();
    let complete = matches.len() == items.len();
    (matches, complete)
}

/// What cannot stand together in a rule.
fn check_companions(object: &Object<'_>) {
    let field = object.field();
    if field.given("delegate").is_some() {
        let own = object.one_of(&["redirect", "route"]);
        if let Some(other) = own {
            let message = format!("`delegate` and `{other}` exclude each other");
            field.error("one-of", message, "keep one of them");
        }
        return;
    }
    let answers = ["redirect", "directResponse"]
        .into_iter()
        .find(|name| field.given(name).is_some());
    let Some(answer) = answers else { return };
    for name in ["route", "redirect", "directResponse", "fault", "rewrite"] {
        if let Some(other) = field.given(name).filter(|_| name != answer) {
            let message = format!("`{name}` and `{answer}` exclude each other");
            let action = !matches!(name, "fault" | "rewrite");
            let place = if action { field } else { &other };
            place.error("one-of", message, "keep one of them");
        }
    }
}

/// A new authority is given once: by `rewrite`, or by one header operation.
fn check_authority(object: &Object<'_>) {
    let field = object.field();
    let rewrite = field.step("rewrite");
    let by_rewrite = rewrite.and_then(|rewrite| rewrite.given("authority"));
    let request = field
        .step("headers")
        .and_then(|headers| headers.step("request"));
    let operations = ["set", "add"]
        .into_iter()
        .filter_map(|name| request.as_ref()?.step(name))
        .flat_map(|operations| operations.entries_of())
        .filter(|(name, _)| *name == ":authority" || name.eq_ignore_ascii_case("host"));
    let headers: Vec<_> = operations.map(|(_, value)| value).collect();
    for value in &headers {
        // What comes from operators is not known yet.
        if let Some(text) = value.str_quietly().filter(|text| !text.contains('%')) {
            rewrite::check_authority(value, text);
        }
    }
    if let Some(second) = headers.get(usize::from(by_rewrite.is_none())) {
        let message = "the authority is given more than once";
        second.error("authority-twice", message, "keep one of them");
    }
}

fn forward(object: &Object<'_>, default_retry: Default<'_>) -> Option<RuleAction> {
    let list = object.get("route")?;
    let items = list.list();
    let mut destinations: Vec<_> = items.iter().filter_map(destination).collect();
    let complete = !items.is_empty() && destinations.len() == items.len();
    if list.is_empty_list() {
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
        let name = subset.str().filter(|name| !name.is_empty())?;
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
    if name == "*" {
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
