//! `retries` of a rule.

use std::collections::BTreeSet;

use crate::{
    config::decode::{Field, Least, nearest},
    layers::retry::params::{Backoff, Params, RetryOn},
};

/// Terms that Istio accepts in `retryOn`, without numbers.
const TERMS: [&str; 15] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "refused-stream",
    "retriable-4xx",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
];

/// Reads `retries`; `default` is the policy of a rule without one.
pub(super) fn read(field: &Field<'_>, default: &Params) -> Option<Params> {
    let object = field.object()?;
    let mut params = default.clone();
    params.retries = match object.get("attempts") {
        Some(attempts) => attempts.count()?,
        None => 0,
    };
    params.per_try_timeout = object
        .get("perTryTimeout")
        .and_then(|timeout| timeout.duration(Least::Millisecond));
    let retry_on = object.get("retryOn");
    params.retry_on = match retry_on
        .as_ref()
        .and_then(|field| Some((field, field.str()?)))
    {
        Some((field, text)) => terms(field, text),
        // The codes of older defaults belong to a missing `retries` only.
        None => Params::default().retry_on,
    };
    let remote = object.get("retryRemoteLocalities");
    if let Some(remote) = &remote
        && remote.bool() == Some(true)
    {
        remote.note(
            "not-in-force",
            "`retryRemoteLocalities` is valid but has no effect in llmesh: it is about the localities a retry goes to, not about headers",
            "",
        );
    }
    if let Some(ignore) = object.bool("retryIgnorePreviousHosts") {
        params.avoid_tried = ignore;
    }
    if let Some(base) = object
        .get("backoff")
        .and_then(|b| b.duration(Least::Millisecond))
    {
        params.backoff = Backoff::from_base(base);
    }
    if params.retries == 0
        && let Some(field) = [object.raw("perTryTimeout"), retry_on, remote]
            .into_iter()
            .flatten()
            .find(|field| !field.is_null())
    {
        field.error(
            "retries-off-with-policy",
            "`attempts` is 0, so this retry setting contradicts it",
            "remove it, or set `attempts` to at least 1",
        );
    }
    Some(params)
}

fn terms(field: &Field<'_>, text: &str) -> RetryOn {
    let mut on = RetryOn::default();
    for term in text.split(',') {
        if !apply(&mut on, term) {
            let hint = if term.trim() != term {
                "no blanks around the commas".to_owned()
            } else if term.is_empty() {
                "remove the stray comma".to_owned()
            } else {
                nearest(term, TERMS.into_iter().chain(["unavailable"])).map_or_else(
                    || "an Envoy retry-on term, a gRPC one, or an HTTP status".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                )
            };
            field.error(
                "unknown-retry-on",
                format!("{term:?} is no retry condition"),
                hint,
            );
        }
    }
    if on.retriable_4xx {
        field.note(
            "retriable-4xx",
            "`retriable-4xx` is 409 under Istio; llmesh also retries a 429 that asks for a pause (not an exhausted quota)",
            "set `429` as well if every 429 is to be retried",
        );
    }
    on
}

/// Adds one term; false if it is unknown.
fn apply(on: &mut RetryOn, term: &str) -> bool {
    let grpc = match term {
        "cancelled" => Some(1),
        "deadline-exceeded" => Some(4),
        "resource-exhausted" => Some(8),
        "internal" => Some(13),
        "unavailable" => Some(14),
        _ => None,
    };
    on.grpc_statuses.extend(grpc);
    match term {
        "5xx" => on.server_error = true,
        "gateway-error" => on.gateway_error = true,
        "reset" => on.reset = true,
        "reset-before-request" => on.reset_before_request = true,
        "connect-failure" => on.connect_failure = true,
        "refused-stream" => on.refused_stream = true,
        "retriable-4xx" => on.retriable_4xx = true,
        "envoy-ratelimited" => on.envoy_ratelimited = true,
        "retriable-status-codes" | "retriable-headers" | "http3-post-connect-failure" => {}
        _ if grpc.is_some() => {}
        number => match number.parse::<u16>() {
            Ok(status) if number.len() == 3 && (100..=599).contains(&status) => {
                on.statuses.insert(status);
            }
            _ => return false,
        },
    }
    true
}

/// The policy of a rule without `retries`: Istio 1.24 and later, or with 503 as before.
pub(in crate::config) fn default_policy(with_503: bool) -> Params {
    let mut params = Params::default();
    if with_503 {
        params.retry_on.statuses = BTreeSet::from([503]);
    }
    params
}
