//! Signal → class: which signal decides, and what else it says.
//!
//! The order of precedence: money and quota-window codes; signals that only one provider sends; phrases that are the only
//! signal for their meaning; vendors' numbers; the body's code, then its type, then its gRPC status; other phrases; the HTTP
//! status. The first that knows decides. An error inside a 2xx often tells no status: its code and words are then all there
//! is, and it is the server's fault only if they say nothing.

mod evidence;
mod exact;

use std::time::SystemTime;

use ::http::{HeaderMap, StatusCode};

pub(crate) use self::evidence::Evidence;
pub(crate) use super::finding::Finding;
use crate::{
    classify::{Class, FallbackScope, Outcome, Scope, Signal},
    llm::{
        content::forbidden,
        dialect::Provider,
        fault::Fault,
        finding::window,
        pattern::{self, Turn},
        signals::{
            CODES, DASHSCOPE, EXHAUSTED, GRPC, MINIMAX, MONTHLY, STATUSES, Vocabulary, ZAI, same,
        },
        wait::{self, midnight_pacific, month, reset_in_text},
    },
};

// === impl Evidence ===

impl<'a> Evidence<'a> {
    /// A failed response with this status on the wire.
    pub(crate) fn new(
        wire: u16,
        headers: &'a HeaderMap,
        fault: &'a Fault<'a>,
        provider: Option<Provider>,
        llm: bool,
        now: SystemTime,
    ) -> Self {
        let inside = wire < 400;
        let told = match wire {
            424 => Some(fault.original_status.unwrap_or(500)),
            400.. => Some(wire),
            _ => fault.number,
        };
        Self {
            status: told.or_else(|| by_type(fault)).unwrap_or(500),
            told: told.is_some(),
            inside,
            headers,
            fault,
            provider,
            llm,
            now,
        }
    }

    /// The class of the attempt.
    pub(crate) fn class(&self, signal: Signal) -> Class {
        let finding = decide(self);
        let mut class = Class::new(finding.outcome, signal);
        class.scope = finding.scope;
        class.elsewhere = finding.elsewhere;
        class.reset_at = finding.reset_at;
        class.status_only = finding.status_only;
        class.retry_same = finding.retry_same && !forbidden(self.headers);
        class.hint = wait::hint(&finding, self.headers, self.fault, self.now);
        class.paced = self.llm && finding.outcome.is_pacing();
        class.stands_for = self.stands_for(finding.outcome);
        class
    }

    /// The status that the provider's words stand for, where the one on the wire is another.
    fn stands_for(&self, outcome: Outcome) -> Option<StatusCode> {
        let words = [self.fault.code, self.fault.kind];
        let quota = outcome == Outcome::QuotaExhausted
            && words
                .iter()
                .flatten()
                .any(|word| same(word, "insufficient_quota"));
        if quota {
            return Some(StatusCode::TOO_MANY_REQUESTS);
        }
        let known = self.told || by_type(self.fault).is_some();
        if self.inside
            && !known
            && matches!(outcome, Outcome::ContentFilter | Outcome::OutputInvalid)
        {
            // An error is no success, whatever came before it.
            return Some(StatusCode::BAD_REQUEST);
        }
        (self.inside && known)
            .then(|| StatusCode::from_u16(self.status).ok())
            .flatten()
    }
}

/// Decides a failed response.
fn decide(e: &Evidence<'_>) -> Finding {
    money(e)
        .or_else(|| exact::exact(e))
        .or_else(|| text(e, Turn::First))
        .or_else(|| numbers(e))
        .or_else(|| words(e))
        .or_else(|| text(e, Turn::Then))
        .unwrap_or_else(|| Finding {
            status_only: !e.llm || e.fault.is_silent(),
            ..by_status(e)
        })
}

/// The status that the error's type or code is, in figures.
fn by_type(fault: &Fault<'_>) -> Option<u16> {
    let known = |word: &str| {
        let row = STATUSES.iter().find(|(name, _)| same(name, word))?;
        Some(row.1)
    };
    [fault.kind, fault.code]
        .into_iter()
        .flatten()
        .find_map(known)
}

fn money(e: &Evidence<'_>) -> Option<Finding> {
    [e.fault.detail_code, e.fault.code]
        .into_iter()
        .flatten()
        .find_map(|code| quota(code, e))
}

fn quota(code: &str, e: &Evidence<'_>) -> Option<Finding> {
    if EXHAUSTED.iter().any(|known| same(known, code)) {
        return Some(if is_a_rate(e) {
            Outcome::RateLimited.into()
        } else {
            Outcome::QuotaExhausted.into()
        });
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

/// Whether a quota is one of tokens a minute: DashScope calls its rate so.
fn is_a_rate(e: &Evidence<'_>) -> bool {
    let message = e.fault.message.to_lowercase();
    e.status == 429
        && DASHSCOPE.iter().any(|mark| message.contains(mark))
        && !message.contains("free")
}

/// What stands in the text.
fn text(e: &Evidence<'_>, turn: Turn) -> Option<Finding> {
    // What an ordinary service's fault says is no word of a provider's.
    if !e.llm && e.status >= 500 {
        return None;
    }
    let told = e.told.then_some(e.status);
    [Some(e.fault.message), e.fault.raw]
        .into_iter()
        .flatten()
        .find_map(|message| says(e, told, message, turn))
}

fn says(e: &Evidence<'_>, told: Option<u16>, message: &str, turn: Turn) -> Option<Finding> {
    let limits = told.is_none_or(|status| matches!(status, 413 | 429));
    if limits && turn == Turn::First && pattern::over_the_limit(message) {
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
    match pattern::of_text(told, e.fault.code, message, turn)? {
        Outcome::QuotaWindow => Some(window(Scope::Account, reset_in_text(message, e.now))),
        Outcome::QuotaExhausted if is_googles_rate(e, message) => Some(Outcome::RateLimited.into()),
        outcome => Some(outcome.into()),
    }
}

/// Google calls every rate a quota: a request over one a minute has "exceeded your current quota". One of a day is told by
/// its name, before any text (google-gemini/gemini-cli#8437, googleapis/python-genai#1446).
fn is_googles_rate(e: &Evidence<'_>, message: &str) -> bool {
    e.fault.status == Some("RESOURCE_EXHAUSTED") && message.contains("your current quota")
}

/// Vendors' codes in numbers.
fn numbers(e: &Evidence<'_>) -> Option<Finding> {
    let number = e.fault.vendor?;
    let table = if e.fault.base { MINIMAX } else { ZAI };
    let (_, outcome) = table
        .iter()
        .filter(|_| e.fault.base || e.fault.nested)
        .find(|(known, _)| *known == number)?;
    Some(match outcome {
        Outcome::QuotaWindow => window(Scope::Account, reset_in_text(e.fault.message, e.now)),
        outcome => (*outcome).into(),
    })
}

fn words(e: &Evidence<'_>) -> Option<Finding> {
    let fault = e.fault;
    for word in [fault.code, fault.error_type, fault.kind]
        .into_iter()
        .flatten()
    {
        // Fireworks: the account is suspended. Elsewhere the word says nothing of the kind.
        if word == "PRECONDITION_FAILED" && e.status != 412 {
            continue;
        }
        let Some(outcome) = word_of(word) else {
            continue;
        };
        let mut finding = match outcome {
            Outcome::QuotaExhausted if is_a_rate(e) => Outcome::RateLimited.into(),
            Outcome::QuotaWindow => window(Scope::Account, reset_in_text(fault.message, e.now)),
            // A word that no table names is general; a status says more.
            Outcome::InvalidRequest if e.told && !is_named(word) => continue,
            outcome => Finding::from(outcome),
        };
        if matches!(
            word,
            // A region, or a billing precondition: other places serve.
            "unsupported_country_region_territory" | "failed_precondition"
        ) {
            finding.elsewhere = FallbackScope::Any;
        }
        return Some(finding);
    }
    let name = fault.status?;
    let (_, outcome) = GRPC.iter().find(|(known, _)| *known == name)?;
    let mut finding = Finding::from(*outcome);
    if name == "FAILED_PRECONDITION" {
        finding.elsewhere = FallbackScope::Any;
    }
    Some(finding)
}

/// What a code or type means: by its table; the vendor's own part of a dotted one; the words that it is made of.
fn word_of(word: &str) -> Option<Outcome> {
    if STATUSES.iter().any(|(general, _)| same(general, word)) {
        return None;
    }
    let known = |word: &str| {
        let gone = EXHAUSTED.iter().any(|known| same(known, word));
        lookup(CODES, word).or_else(|| gone.then_some(Outcome::QuotaExhausted))
    };
    known(word)
        .or_else(|| known(word.split('.').next()?))
        .or_else(|| pattern::of_code(word))
}

/// Whether a table names the word.
fn is_named(word: &str) -> bool {
    lookup(CODES, word).is_some()
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
                finding.elsewhere = FallbackScope::Any;
            }
            return finding;
        }
        404 if e.llm => Outcome::NotFound,
        404 => {
            // An ordinary service's answer.
            return Finding {
                scope: Scope::None,
                elsewhere: FallbackScope::None,
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

/// The outcome of a word in a vocabulary.
fn lookup(vocabulary: Vocabulary, word: &str) -> Option<Outcome> {
    vocabulary
        .iter()
        .flat_map(|(_, rows)| rows.iter())
        .find(|(name, _)| same(name, word))
        .map(|(_, outcome)| *outcome)
}

#[cfg(test)]
mod tests;
