//! Waits that stand in bodies, and the instants at which quota windows open again.

mod prose;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::HeaderMap;
use serde_json::Value;

use crate::{
    base::time::{civil_from_days, days_from_epoch, parse_rfc3339, start_of_next_month},
    classify::{Hint, Outcome, hint},
    llm::{fault::Fault, finding::Finding},
};

const DAY: u64 = 86_400;

pub use self::prose::in_text;
pub(crate) use self::prose::reset_in_text;

/// How long to wait before a repeat, from headers and body together; `None` is "as long as you like".
///
/// An outcome that no repeat cures has no wait. The resets of empty buckets count for throttling alone: a server error
/// is not cured by a full bucket.
pub(crate) fn hint(
    finding: &Finding,
    headers: &HeaderMap,
    fault: &Fault<'_>,
    now: SystemTime,
) -> Option<Hint> {
    if !finding.retry_same {
        return None;
    }
    let paced = finding.outcome.is_pacing();
    let throttled = paced && finding.outcome != Outcome::ModelNotReady;
    let named = |source, wait: Option<Duration>| wait.map(|wait| Hint { wait, source });
    hint::asked(headers, now)
        .or_else(|| named("google.rpc.RetryInfo", fault.retry_delay.and_then(positive)))
        .or_else(|| named("estimated_time", fault.estimated_time.and_then(estimated)))
        .or_else(|| named("retry_after", fault.retry_after.and_then(estimated)))
        .or_else(|| {
            paced
                .then(|| {
                    let texts = [Some(fault.message), fault.raw];
                    let wait = texts.into_iter().flatten().find_map(|t| in_text(t, now));
                    named("message", wait)
                })
                .flatten()
        })
        .or_else(|| throttled.then(|| hint::reset(headers, now)).flatten())
        .or_else(|| {
            finding.immediate.then_some(Hint {
                wait: Duration::ZERO,
                source: "immediate",
            })
        })
}

/// The first of the next month, 00:00 UTC.
pub(crate) fn month(now: SystemTime) -> Option<SystemTime> {
    Some(start_of_next_month(now))
}

/// The next midnight in UTC.
pub(crate) fn midnight_utc(now: SystemTime) -> Option<SystemTime> {
    at((seconds(now)? / DAY + 1) * DAY)
}

/// The next midnight in Los Angeles, by the rule in force since 2007 (Energy Policy Act of 2005): daylight saving time
/// from 02:00 on the second Sunday of March to 02:00 on the first Sunday of November.
pub(crate) fn midnight_pacific(now: SystemTime) -> Option<SystemTime> {
    let now = seconds(now)?;
    // The local date lies at most one day back, so one of three midnights is the next one.
    (0..3).find_map(|days| {
        let day = (now / DAY).checked_add(days)?;
        let midnight = day * DAY + offset_at_midnight(day) * 3600;
        (midnight > now).then(|| at(midnight)).flatten()
    })
}

/// `metadata.resets_at`: RFC 3339, or epoch seconds or milliseconds.
pub(crate) fn resets_at(value: &Value) -> Option<SystemTime> {
    match value {
        Value::String(text) => {
            parse_rfc3339(text).or_else(|| positive_epoch(text.trim().parse().ok()?))
        }
        Value::Number(n) => positive_epoch(n.as_f64()?),
        _ => None,
    }
}

/// Hours that Pacific time is behind UTC at 00:00 of this day.
fn offset_at_midnight(day: u64) -> u64 {
    let (year, ..) = civil_from_days(day);
    let (march, november) = (days_from_epoch(year, 3, 1), days_from_epoch(year, 11, 1));
    let begin = first_sunday(march) + 7;
    let end = first_sunday(november);
    // At midnight of the day of change the old offset still holds.
    if begin < day && day <= end { 7 } else { 8 }
}

/// The first Sunday on or after a day. 1970-01-01 was a Thursday.
fn first_sunday(day: u64) -> u64 {
    let weekday = (day + 4) % 7;
    day + (7 - weekday) % 7
}

fn positive(text: &str) -> Option<Duration> {
    hint::go_duration(text)
        .filter(|wait| !wait.is_zero())
        .map(|wait| wait.min(hint::LONGEST))
}

fn estimated(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|wait| !wait.is_zero())
        .map(|wait| wait.min(hint::LONGEST))
}

fn positive_epoch(n: f64) -> Option<SystemTime> {
    (n > 0.0).then(|| hint::epoch(n)).flatten()
}

fn seconds(now: SystemTime) -> Option<u64> {
    Some(now.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

fn at(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> SystemTime {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn pacific_midnight_follows_daylight_saving_time() {
        for (now, next) in [
            ("2026-11-22T10:00:00Z", "2026-11-23T08:00:00Z"),
            ("2026-11-22T07:59:59Z", "2026-11-22T08:00:00Z"),
            ("2026-11-22T08:00:00Z", "2026-11-23T08:00:00Z"),
            ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
            ("2026-07-01T06:59:59Z", "2026-07-01T07:00:00Z"),
            // Clocks go forward on 8 March 2026 and back on 1 November 2026, each at 02:00.
            ("2026-03-07T12:00:00Z", "2026-03-08T08:00:00Z"),
            ("2026-03-08T12:00:00Z", "2026-03-09T07:00:00Z"),
            ("2026-10-31T12:00:00Z", "2026-11-01T07:00:00Z"),
            ("2026-11-01T12:00:00Z", "2026-11-02T08:00:00Z"),
            ("2026-12-31T23:00:00Z", "2027-01-01T08:00:00Z"),
        ] {
            assert_eq!(midnight_pacific(time(now)), Some(time(next)), "{now}");
        }
        assert_eq!(
            midnight_utc(time("2026-11-22T10:00:00Z")),
            Some(time("2026-11-23T00:00:00Z"))
        );
    }

    #[test]
    fn reads_reset_times() {
        let at = Some(time("2026-11-22T10:00:00Z"));
        for value in [
            serde_json::json!("2026-11-22T10:00:00Z"),
            serde_json::json!(1_795_341_600),
            serde_json::json!(1_795_341_600_000_u64),
            serde_json::json!("1795341600"),
        ] {
            assert_eq!(resets_at(&value), at, "{value}");
        }
        for value in [
            serde_json::json!(-1),
            serde_json::json!(1e300),
            serde_json::json!("soon"),
            serde_json::json!([]),
        ] {
            assert_eq!(resets_at(&value), None, "{value}");
        }
    }
}
