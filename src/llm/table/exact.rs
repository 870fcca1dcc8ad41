//! Signals that one provider gives in a place of its own.

use ::http::{HeaderMap, HeaderName};

use super::evidence::Evidence;
use crate::{
    classify::{Outcome, Scope},
    llm::{
        finding::{Finding, window},
        signals::AWS,
        wait::{midnight_pacific, midnight_utc, resets_at},
    },
};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// Signals that one provider gives in a place of its own.
pub(super) fn exact(e: &Evidence<'_>) -> Option<Finding> {
    let fault = e.fault;
    if fault.per_day && e.status == 429 {
        return Some(window(Scope::Account, midnight_pacific(e.now)));
    }
    if fault.reason == Some("API_KEY_INVALID") {
        return Some(Outcome::Auth.into());
    }
    if fault.flagged || fault.inner_code == Some("ResponsibleAIPolicyViolation") {
        return Some(Outcome::ContentFilter.into());
    }
    if let Some(source) = fault.limit_source {
        return Some(openrouter_limit(e, source));
    }
    if let Some(at) = fault.resets_at {
        return Some(window(Scope::Credential, resets_at(at)));
    }
    if let Some(found) = fault.detail_code.and_then(anthropic) {
        return Some(found);
    }
    if e.status == 429 && header_is(e.headers, "x-ratelimit-over-limit", "no") {
        return Some(Outcome::Overloaded.into());
    }
    if e.status == 503
        && (fault.estimated_time.is_some() || fault.message.ends_with("is currently loading"))
    {
        return Some(Outcome::ModelNotReady.into());
    }
    if e.headers.contains_key(OVERLOADED) {
        return Some(Outcome::Overloaded.into());
    }
    aws(e)
}

fn openrouter_limit(e: &Evidence<'_>, source: &str) -> Finding {
    let scope = match source {
        "openrouter_in_flight_budget" => return Outcome::RateLimited.into(),
        "openrouter_credits" | "openrouter_workspace_budget" => Scope::Account,
        _ => Scope::Credential,
    };
    match e.fault.resets_at {
        Some(at) => window(scope, resets_at(at)),
        None => Finding {
            scope,
            ..Outcome::QuotaExhausted.into()
        },
    }
}

/// `error.details.error_code`.
fn anthropic(code: &str) -> Option<Finding> {
    Some(match code {
        "ramp_limit_exceeded" => Outcome::RampLimited.into(),
        "request_body_too_large_after_decoding" => Outcome::TooLarge.into(),
        "organization_on_hold" => Finding {
            scope: Scope::Account,
            ..Outcome::Permission.into()
        },
        // The customer's own key store: all targets of the account fail, and recover, together.
        "cmek_key_unreachable" | "cmek_context_unavailable" => Finding {
            scope: Scope::Account,
            ..Outcome::ServerError.into()
        },
        _ => return None,
    })
}

fn aws(e: &Evidence<'_>) -> Option<Finding> {
    let header = e
        .headers
        .get("x-amzn-errortype")
        .and_then(|v| v.to_str().ok());
    let name = header.or(e.fault.aws)?;
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    let name = name.strip_suffix("Exception").unwrap_or(name);
    let outcome = AWS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, outcome)| *outcome)?;
    if outcome == Outcome::RateLimited && e.fault.message.to_lowercase().contains("tokens per day")
    {
        return Some(window(Scope::Account, midnight_utc(e.now)));
    }
    if name == "ExpiredToken" {
        // The credential's owner refreshes it; the next attempt carries the new one.
        return Some(Finding {
            scope: Scope::None,
            retry_same: true,
            immediate: true,
            ..Outcome::Auth.into()
        });
    }
    Some(outcome.into())
}

fn header_is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
}
