//! How long a provider asks to wait, read from response headers. The one parser of such hints.
//!
//! The order is by trust: `retry-after-ms`, `retry-after` (seconds or an HTTP date), `x-amz-retry-after`
//! (milliseconds); then, for throttled requests only, the longest reset among the buckets that are *empty*. A bucket
//! that is not empty says nothing: its reset is the time until it is full again, often hours. The body's hints stand
//! between the two and are read in [`llm`](crate::llm).
//!
//! Dates are compared with the response's own `date`, since clocks differ. Nothing here panics on any input; what is no
//! positive, finite time is no hint, and none is longer than 31 days.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::HeaderMap;

use crate::{
    base::time::{parse_http_date, parse_rfc3339},
    classify::{Class, Hint},
};

/// The longest wait that is stored.
pub const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// Known reset headers, so that a hint can name its source.
const RESETS: &[&str] = &[
    "anthropic-priority-input-tokens-reset",
    "anthropic-priority-output-tokens-reset",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-reset",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-reset",
    "x-ratelimit-reset-input-tokens",
    "x-ratelimit-reset-output-tokens",
    "x-ratelimit-reset-project-requests",
    "x-ratelimit-reset-project-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-reset-tokens_usage_based",
];

/// The wait that the headers ask for in so many words.
#[must_use]
pub fn asked(headers: &HeaderMap, now: SystemTime) -> Option<Hint> {
    let hint = |source, wait: Option<Duration>| wait.map(|wait| Hint { wait, source });
    let after = text(headers, "retry-after");
    hint(
        "retry-after-ms",
        text(headers, "retry-after-ms").and_then(milliseconds),
    )
    .or_else(|| hint("retry-after", after.and_then(seconds)))
    .or_else(|| {
        let date = parse_http_date(after?)?;
        hint("retry-after", after_now(date, server_now(headers, now)))
    })
    .or_else(|| {
        hint(
            "x-amz-retry-after",
            text(headers, "x-amz-retry-after").and_then(milliseconds),
        )
    })
}

/// The longest reset among empty buckets; else the one reset of a response that names no bucket.
#[must_use]
pub fn reset(headers: &HeaderMap, now: SystemTime) -> Option<Hint> {
    let now = server_now(headers, now);
    let mut longest: Option<Hint> = None;
    for (name, remaining) in headers {
        let Some((reset, general)) = reset_of(name.as_str()) else {
            continue;
        };
        if remaining.to_str().ok().and_then(number) != Some(0.0) {
            continue;
        }
        let Some(wait) = text(headers, &reset).and_then(|value| until(value, now)) else {
            continue;
        };
        let source = RESETS.iter().find(|known| **known == reset);
        if longest.is_none_or(|hint| wait > hint.wait) {
            longest = Some(Hint {
                wait,
                source: source.copied().unwrap_or(general),
            });
        }
    }
    longest.or_else(|| bare(headers, now))
}

/// Whether a repeat on the same target is allowed: the class allows it, and the wait it asks for is no longer than
/// `max_hint` and ends before the deadline.
///
/// A hint that is too long is an order to go elsewhere, not to sleep.
#[must_use]
pub fn allowed(class: &Class, max_hint: Duration, deadline_left: Option<Duration>) -> bool {
    let wait = class.hint.map_or(Duration::ZERO, |hint| hint.wait);
    class.retry_same && wait <= max_hint && deadline_left.is_none_or(|left| wait < left)
}

/// Reads a Go duration: numbers with units (`h`, `m`, `s`, `ms`, `us`, `µs`, `ns`, and `d`), with fractions, repeated.
/// `None` unless the whole text is one, and it is finite.
#[must_use]
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .filter(|at| *at > 0)?;
        let (value, tail) = rest.split_at(digits);
        let unit = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += value.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    Duration::try_from_secs_f64(total).ok()
}

/// A positive number of seconds.
#[must_use]
pub fn seconds(text: &str) -> Option<Duration> {
    bounded(number(text)?)
}

/// Reads a time to come, in any of the forms in use: seconds, epoch seconds or milliseconds (told apart by size), a Go
/// duration, an RFC 3339 time or an HTTP date.
#[must_use]
pub fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Some(n) = number(text) {
        return if n < 1e7 {
            bounded(n)
        } else {
            after_now(epoch(n)?, now)
        };
    }
    match go_duration(text) {
        Some(wait) => Some(wait.min(LONGEST)).filter(|wait| !wait.is_zero()),
        None => after_now(parse_rfc3339(text).or_else(|| parse_http_date(text))?, now),
    }
}

/// A time from its epoch seconds, or milliseconds from 1e11 on.
#[must_use]
pub fn epoch(n: f64) -> Option<SystemTime> {
    let seconds = if n < 1e11 { n } else { n / 1e3 };
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// The name of the reset header that belongs to a "remaining" header, and a general name for it.
fn reset_of(remaining: &str) -> Option<(String, &'static str)> {
    if let Some(bucket) = remaining.strip_prefix("x-ratelimit-remaining-") {
        return Some((format!("x-ratelimit-reset-{bucket}"), "x-ratelimit-reset-*"));
    }
    let bucket = remaining
        .strip_prefix("anthropic-")?
        .strip_suffix("-remaining")?;
    Some((format!("anthropic-{bucket}-reset"), "anthropic-*-reset"))
}

fn bare(headers: &HeaderMap, now: SystemTime) -> Option<Hint> {
    [
        ("x-ratelimit-remaining", "x-ratelimit-reset"),
        ("x-tokenlimit-remaining", "x-tokenlimit-reset"),
    ]
    .into_iter()
    .filter(|(remaining, _)| {
        text(headers, remaining)
            .and_then(number)
            .is_none_or(|n| n == 0.0)
    })
    .find_map(|(_, source)| {
        let wait = until(text(headers, source)?, now)?;
        Some(Hint { wait, source })
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

/// What time it is for whoever sent these headers, as far as they say.
#[must_use]
pub fn server_now(headers: &HeaderMap, now: SystemTime) -> SystemTime {
    text(headers, "date")
        .and_then(parse_http_date)
        .unwrap_or(now)
}

/// A number that is finite and not negative. `-1` is how some say "unknown".
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    let n: f64 = text.trim().parse().ok()?;
    (n.is_finite() && n.is_sign_positive()).then_some(n)
}

fn milliseconds(text: &str) -> Option<Duration> {
    bounded(number(text)? / 1e3)
}

fn bounded(seconds: f64) -> Option<Duration> {
    let wait = Duration::try_from_secs_f64(seconds).ok()?;
    (!wait.is_zero()).then(|| wait.min(LONGEST))
}

fn after_now(at: SystemTime, now: SystemTime) -> Option<Duration> {
    let wait = at.duration_since(now).ok()?;
    (!wait.is_zero()).then(|| wait.min(LONGEST))
}

#[cfg(test)]
mod tests;
