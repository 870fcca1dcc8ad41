//! `retries` of a rule.

use std::collections::BTreeSet;

use crate::{
    config::decode::{Field, Least, nearest},
    layers::retry::{
        params::{Backoff, Params, RetryOn},
        retry_on::{ParseError, TOKENS},
    },
};

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
    let written = |field: &Field<'_>| field.str_quietly() != Some("");
    let retry_on = object.get("retryOn").filter(written);
    params.retry_on = match retry_on
        .as_ref()
        .and_then(|field| Some((field, field.str()?)))
    {
        Some((field, text)) => terms(field, text),
        // The codes of older defaults belong to a missing `retries` only.
        None => Params::istio().retry_on,
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
    match RetryOn::envoy(text) {
        Ok(parsed) => on = parsed,
        Err(error) => {
            let hint = match &error {
                ParseError::Unknown(term) => nearest(term, TOKENS).map_or_else(
                    || "an Envoy retry-on term, a gRPC one, or an HTTP status".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                ),
                _ => String::new(),
            };
            field.error("unknown-retry-on", error.to_string(), hint);
        }
    }
    if on.retriable_4xx {
        field.note(
            "retriable-4xx",
            "`retriable-4xx` is 409 under Istio; llmesh also retries a 429 that asks for a pause (not an exhausted quota)",
            "add `429` if every 429 is to be retried",
        );
    }
    on
}

/// The policy of a rule without `retries`: Istio 1.24 and later, or with 503 as before.
pub(in crate::config) fn default_policy(with_503: bool) -> Params {
    let mut params = Params::istio();
    if with_503 {
        params.retry_on.statuses = BTreeSet::from([503]);
    }
    params
}
