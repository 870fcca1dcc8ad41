//! Waits in text for people.

use std::time::{Duration, SystemTime};

use crate::{
    base::time::parse_rfc3339,
    classify::hint::{self, LONGEST},
};

/// What a wait follows, and who says so. Those that name a repetition come first.
const LEADS: &[(&str, &str)] = &[
    ("try again in ", "openai, groq (spec 2.3)"),
    ("try again after ", "yokingma/fetch-sse#1 (Moonshot)"),
    ("try again at ", "http dates"),
    ("retry in ", "gemini (spec 2.3)"),
    ("retry after", "azure (spec 2.3)"),
    ("retry-after", "techdocs.akamai.com 429"),
    ("retry_after", "gateways that print their fields"),
    ("retry the request in ", "azure"),
    ("retry your request after ", "azure"),
    ("try after ", "techdocs.akamai.com 429"),
    ("available in ", "ollama"),
    ("available again in ", "ollama"),
    ("reset in ", "gateways"),
    ("resets in ", "gateways"),
    ("reset after ", "diegosouzapw/OmniRoute#7961"),
    ("resets at", "BerriAI/litellm#14736"),
    ("wait for ", "anthropic; rate limiters"),
    ("wait ", "anthropic; rate limiters"),
];

/// What stands between such words and the wait.
const FILLERS: &[&str] = &[
    "about",
    "approximately",
    "around",
    "another",
    "at",
    "least",
    "the",
    "next",
    "is",
    "~",
    ":",
    "=",
    "after",
];

/// When a window opens again, in text.
const RESETS: &[&str] = &[
    "reset at",
    "resets at",
    "reset on",
    "resets on",
    "reset time:",
    "until",
    "将在",
    "available at",
];

/// z.ai and Zhipu give no zone and mean Beijing's (can1357/oh-my-pi#11014, NousResearch/hermes-agent#103243).
const BEIJING: &str = "+08:00";

/// Reads "try again in 1m42.653s", "retry after 7 seconds", "wait 1 minute and 5 seconds", "retry in PT30S", "try after
/// 2026-11-22T10:00:05Z" in a message.
#[must_use]
pub fn in_text(message: &str, now: SystemTime) -> Option<Duration> {
    let message = message.to_lowercase();
    LEADS.iter().find_map(|(lead, _)| {
        message.match_indices(lead).find_map(|(at, _)| {
            let rest = message.get(at + lead.len()..)?;
            // A bare number is one of seconds where the words are the header's.
            let seconds = lead.starts_with("retry") && lead.ends_with("after");
            span(rest, seconds).or_else(|| until(rest, now))
        })
    })
}

/// When the text says that a window opens again: at a time, or after a while.
pub(crate) fn reset_in_text(message: &str, now: SystemTime) -> Option<SystemTime> {
    let text = message.to_lowercase();
    let named = RESETS.iter().find_map(|lead| {
        text.match_indices(lead).find_map(|(at, _)| {
            let rest = text.get(at + lead.len()..)?;
            date(rest).filter(|at| *at > now)
        })
    });
    named.or_else(|| now.checked_add(in_text(message, now)?))
}

/// How long it is until the time that the text begins with.
fn until(text: &str, now: SystemTime) -> Option<Duration> {
    let wait = date(text)?.duration_since(now).ok()?;
    positive(wait)
}

/// The time that a text begins with: RFC 3339, or a date and a time in two words.
fn date(text: &str) -> Option<SystemTime> {
    const MARKS: [char; 9] = [' ', ':', '=', '"', '\'', '.', ',', ';', ')'];
    let mut words = text.trim_start_matches(MARKS).split_whitespace();
    let day = words.next()?.trim_end_matches(MARKS);
    if let Some(at) = parse_rfc3339(day) {
        return Some(at);
    }
    // What may stick to it ends with its seconds.
    let (day, time) = match day.get(10..) {
        Some("") => (day, words.next()?.get(..8)?),
        Some(rest) => (day.get(..10)?, rest.strip_prefix('t')?.get(..8)?),
        None => return None,
    };
    let zone = words
        .next()
        .unwrap_or_default()
        .trim_matches(['(', ')', '.', ',']);
    let zone = if matches!(zone, "utc" | "gmt") {
        "z"
    } else {
        BEIJING
    };
    parse_rfc3339(&format!("{day}t{time}{zone}"))
}

/// The length of time that a text begins with: a Go duration, an ISO 8601 one, or numbers with units.
fn span(text: &str, seconds: bool) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let bare = word.trim_matches(['.', ',', ';', ')', '(', '!', '"', '\'', '`', ':', '=', '*']);
        if total.is_zero() && (bare.is_empty() || FILLERS.contains(&bare)) || bare == "and" {
            continue;
        }
        let next = words.peek().copied();
        let (part, with_unit) = match part(bare, next) {
            Some(part) => part,
            None if seconds && total.is_zero() => (hint::seconds(bare)?, false),
            None => break,
        };
        if with_unit {
            words.next();
        }
        total = total.checked_add(part)?;
        let last = if with_unit {
            next.unwrap_or(word)
        } else {
            word
        };
        if last.ends_with(['.', ';', ')', '!']) {
            break;
        }
    }
    positive(total)
}

/// One part of a length of time, and whether its unit is the next word.
fn part(word: &str, next: Option<&str>) -> Option<(Duration, bool)> {
    if let Some(whole) = hint::go_duration(word).or_else(|| iso(word)) {
        return Some((whole, false));
    }
    let digits = word
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(word.len());
    let (number, glued) = word.split_at(digits);
    let (number, unit, with_unit) = match (word, glued) {
        ("a" | "an" | "one", _) => ("1", next?, true),
        (_, "") => (number, next?, true),
        (_, glued) => (number, glued, false),
    };
    let unit = match unit.trim_end_matches(['.', ',', ';', ')', '!', '"', '\'', '`']) {
        "ms" | "msec" | "millisecond" | "milliseconds" => "ms",
        "s" | "sec" | "secs" | "second" | "seconds" | "second(s)" | "秒" => "s",
        "m" | "min" | "mins" | "minute" | "minutes" | "minute(s)" | "分钟" => "m",
        "h" | "hr" | "hrs" | "hour" | "hours" | "hour(s)" | "小时" => "h",
        "d" | "day" | "days" | "day(s)" | "天" => "d",
        _ => return None,
    };
    let part = hint::go_duration(&format!("{number}{unit}"))?;
    Some((part, with_unit))
}

/// An ISO 8601 duration such as `pt1m30s` or `p1dt2h`, in lower case.
fn iso(text: &str) -> Option<Duration> {
    let rest = text.strip_prefix('p')?;
    let (days, time) = rest.split_once('t').unwrap_or((rest, ""));
    let days_only = days.is_empty() || days.ends_with('d');
    let whole = format!("{days}{time}");
    days_only.then(|| hint::go_duration(&whole)).flatten()
}

fn positive(wait: Duration) -> Option<Duration> {
    (!wait.is_zero()).then(|| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
    }

    #[test]
    fn reads_waits_in_prose() {
        let ms = |n| Some(Duration::from_millis(n));
        for (text, wait) in [
            ("Please try again in 1m42.653s. Visit", ms(102_653)),
            ("Please try again in 6ms.", ms(6)),
            ("Please retry in 34.07s.", ms(34_070)),
            ("Please RETRY AFTER 7 seconds.", ms(7000)),
            ("Please retry after 1 second.", ms(1000)),
            ("try again in 2 minutes, or", ms(120_000)),
            (
                "request reached max request: 3, please try again after 1 seconds",
                ms(1000),
            ),
            (
                "No deployments available, Try again in 60 seconds. Passed",
                ms(60_000),
            ),
            ("try again in 6m0s", ms(360_000)),
            ("try again in 1.5 minutes", ms(90_000)),
            ("please wait 30 seconds and send it again", ms(30_000)),
            ("Please wait for 59 minutes and 59 seconds.", ms(3_599_000)),
            ("retry in 1h2m3s", ms(3_723_000)),
            ("retry in 1 hour 2 min", ms(3_720_000)),
            ("retry in about 20sec", ms(20_000)),
            ("Try again in a minute", ms(60_000)),
            ("Please retry in PT30S", ms(30_000)),
            ("retry in PT1M30S.", ms(90_000)),
            ("retry in P1DT1S", ms(86_401_000)),
            ("Retry after: 21 seconds.", ms(21_000)),
            ("Retry-After: 21", ms(21_000)),
            ("Your quota will reset after 45s.", ms(45_000)),
            ("Please try after 2026-11-22T10:00:05.5Z.", ms(5500)),
            (
                "Please retry after 2026-11-22T10:01:00Z to go on",
                ms(60_000),
            ),
            ("Limit resets at: 2026-11-22 10:00:30 UTC", ms(30_000)),
            ("server busy, please try again.  maximum", None),
            ("please wait before trying again", None),
            ("try again in a while", None),
            ("try again in -5s", None),
            ("try again in 0s", None),
            ("try again in 5 parsecs", None),
            ("please try again after 2025-01-01T00:00:00Z", None),
            ("try again in ", None),
            ("retry in p", None),
            ("retry in pt", None),
        ] {
            assert_eq!(in_text(text, now()), wait, "{text}");
        }
    }

    #[test]
    fn reads_when_a_window_opens() {
        for (text, at) in [
            (
                "Your limit will reset at 2026-11-22 19:01:25",
                "2026-11-22T11:01:25Z",
            ),
            (
                "[1308][将在 2026-11-23 07:41:44 重置。]",
                "2026-11-22T23:41:44Z",
            ),
            (
                "resets at 2026-11-22T15:00:00Z (2056)",
                "2026-11-22T15:00:00Z",
            ),
            (
                "tokens per day. Please try again in 18m20s.",
                "2026-11-22T10:18:20Z",
            ),
        ] {
            assert_eq!(reset_in_text(text, now()), parse_rfc3339(at), "{text}");
        }
        assert_eq!(reset_in_text("will reset at midnight", now()), None);
        assert_eq!(
            reset_in_text("will reset at 2020-01-01 00:00:00", now()),
            None
        );
    }
}
