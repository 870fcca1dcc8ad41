//! Signal → class: which signal decides, and what else it says.
//!
//! The order of precedence: money and quota-window codes; signals that only one provider sends; message patterns;
//! the body's code, then its type, then its gRPC status; the HTTP status. The first that knows decides.

use std::time::SystemTime;

use ::http::{HeaderMap, HeaderName};

use crate::{
    classify::{Elsewhere, Outcome, Scope},
    llm::{
        dialect::Provider,
        fault::Fault,
        pattern,
        signals::{AWS, EXHAUSTED, GRPC, MONTHLY, WORDS},
        wait::{midnight_pacific, midnight_utc, month, resets_at},
    },
};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// What is known of a failed response.
#[derive(Clone, Debug)]
pub(crate) struct Evidence<'a> {
    /// The HTTP status, or the one that the body gives in its place.
    pub(crate) status: u16,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) fault: &'a Fault<'a>,
    pub(crate) provider: Option<Provider>,
    /// Whether the request was for an LLM API: an ordinary service's 404 is an answer, a model's is a fault.
    pub(crate) llm: bool,
    pub(crate) now: SystemTime,
}

/// An outcome, and where it differs from that outcome's usual rules.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Finding {
    pub(crate) outcome: Outcome,
    pub(crate) scope: Scope,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) retry_same: bool,
    pub(crate) reset_at: Option<SystemTime>,
    /// Repeat at once where no wait is asked for.
    pub(crate) immediate: bool,
    /// Nothing but the HTTP status was known.
    pub(crate) status_only: bool,
}

/// Decides a failed response.
pub(crate) fn decide(e: &Evidence<'_>) -> Finding {
    money(e)
        .or_else(|| exact(e))
        .or_else(|| text(e))
        .or_else(|| words(e))
        .unwrap_or_else(|| Finding {
            status_only: !e.llm || e.fault.is_silent(),
            ..by_status(e)
        })
}

/// The status that stands for a response: the inner one of a 424, the body's one of an error under a 2xx.
pub(crate) fn effective_status(wire: u16, fault: &Fault<'_>) -> u16 {
    match wire {
        424 => fault.original_status.unwrap_or(500),
        400.. => wire,
        _ => match (fault.number, fault.kind.or(fault.code)) {
            (Some(number), _) => number,
            (None, Some("invalid_request_error" | "invalid_request" | "BadRequestError")) => 400,
            (None, Some("NotFoundError")) => 404,
            (None, _) => 500,
        },
    }
}

fn money(e: &Evidence<'_>) -> Option<Finding> {
    [e.fault.detail_code, e.fault.code]
        .into_iter()
        .flatten()
        .find_map(|code| quota(code, e))
}

fn quota(code: &str, e: &Evidence<'_>) -> Option<Finding> {
    if EXHAUSTED.contains(&code) {
        return Some(Outcome::QuotaExhausted.into());
    }
    if MONTHLY.contains(&code) {
        let scope = if code.starts_with("project_") {
            Scope::Credential
        } else {
            Scope::Account
        };
        return Some(window(scope, month(e.now)));
    }
    // Gemini Interactions: the daily quota.
    (code == "quota_exceeded" && e.status == 429)
        .then(|| window(Scope::Account, midnight_pacific(e.now)))
}

/// Signals that one provider gives in a place of its own.
fn exact(e: &Evidence<'_>) -> Option<Finding> {
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
    let outcome = find(AWS, name)?;
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

/// What stands only in the message.
fn text(e: &Evidence<'_>) -> Option<Finding> {
    let message = e.fault.message;
    if matches!(e.status, 413 | 429) && pattern::over_the_limit(message) {
        return Some(Outcome::RequestExceedsLimit.into());
    }
    if e.status == 400
        && e.fault.kind == Some("invalid_request_error")
        && message.starts_with("You have reached your specified")
    {
        // Anthropic: the spend limit that the customer set. "… workspace API usage limits" is the key's own.
        let scope = if message.contains("workspace") {
            Scope::Credential
        } else {
            Scope::Account
        };
        return Some(window(scope, month(e.now)));
    }
    pattern::outcome(e.status, e.fault.code, message).map(Finding::from)
}

fn words(e: &Evidence<'_>) -> Option<Finding> {
    let fault = e.fault;
    for word in [fault.code, fault.error_type, fault.kind]
        .into_iter()
        .flatten()
    {
        let Some(outcome) = find(WORDS, word) else {
            continue;
        };
        let mut finding = Finding::from(outcome);
        match word {
            // Fireworks: the account is suspended. Elsewhere the word says nothing of the kind.
            "PRECONDITION_FAILED" if e.status != 412 => continue,
            // A region, or a billing precondition: other places serve.
            "unsupported_country_region_territory" | "failed_precondition" => {
                finding.elsewhere = Elsewhere::Any;
            }
            _ => {}
        }
        return Some(finding);
    }
    let name = fault.status?;
    let mut finding = Finding::from(find(GRPC, name)?);
    if name == "FAILED_PRECONDITION" {
        finding.elsewhere = Elsewhere::Any;
    }
    Some(finding)
}

fn by_status(e: &Evidence<'_>) -> Finding {
    let outcome = match e.status {
        401 => Outcome::Auth,
        402 => Outcome::QuotaExhausted,
        403 if e.provider == Some(Provider::Together) => Outcome::ContextLength,
        403 => {
            let mut finding = Finding::from(Outcome::Permission);
            if e.fault.digits || e.provider == Some(Provider::Azure) {
                // Azure without a word: a network rule of this resource.
                finding.scope = Scope::Target;
                finding.elsewhere = Elsewhere::Any;
            }
            return finding;
        }
        404 if e.llm => Outcome::NotFound,
        404 => {
            // An ordinary service's answer.
            return Finding {
                scope: Scope::None,
                elsewhere: Elsewhere::None,
                ..Outcome::NotFound.into()
            };
        }
        408 | 504 | 524 => Outcome::Timeout,
        409 => Outcome::Conflict,
        412 if e.provider == Some(Provider::Fireworks) => Outcome::QuotaExhausted,
        413 => Outcome::TooLarge,
        429 => Outcome::RateLimited,
        446 => Outcome::ContentFilter,
        498 if e.provider == Some(Provider::Groq) => Outcome::Overloaded,
        // Cohere's is flat; Groq's, by way of a gateway, is nested.
        498 if e.provider != Some(Provider::Cohere) && e.fault.nested => Outcome::Overloaded,
        498 => Outcome::Auth,
        499 => Outcome::Cancelled,
        503 | 529 => Outcome::Overloaded,
        500.. => Outcome::ServerError,
        _ => Outcome::InvalidRequest,
    };
    outcome.into()
}

fn window(scope: Scope, reset_at: Option<SystemTime>) -> Finding {
    Finding {
        scope,
        reset_at,
        ..Outcome::QuotaWindow.into()
    }
}

fn find(table: &[(&str, Outcome)], word: &str) -> Option<Outcome> {
    table
        .iter()
        .find(|(name, _)| *name == word)
        .map(|(_, outcome)| *outcome)
}

fn header_is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers
        .get(name)
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
}

impl From<Outcome> for Finding {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            scope: outcome.scope(),
            elsewhere: outcome.elsewhere(),
            retry_same: outcome.retry_same(),
            reset_at: None,
            immediate: outcome == Outcome::OutputInvalid,
            status_only: false,
        }
    }
}

#[cfg(test)]
mod tests;
