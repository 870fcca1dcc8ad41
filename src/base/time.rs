//! The one reader of clocks.
//!
//! Durations and deadlines use tokio's monotonic [`Instant`], which tests pause and move. The wall clock is read here
//! alone, by [`wall_now`], and only to compare with dates that others sent or to print a time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The wall clock. For dates on the wire and in logs, never for measuring.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn wall_now() -> SystemTime {
    SystemTime::now()
}

/// Reads an HTTP date (IMF-fixdate and the two obsolete forms, RFC 9110 section 5.6.7).
#[must_use]
pub fn parse_http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// Writes an HTTP date in its preferred form.
#[must_use]
pub fn format_http_date(time: SystemTime) -> String {
    httpdate::fmt_http_date(time)
}

/// Reads an RFC 3339 time such as `2026-11-22T10:00:05.25Z` or `…+02:00`. Years 1970 to 9999; leap seconds count as :59.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<SystemTime> {
    let bytes = text.trim().as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = bytes.get(range)?;
        digits.iter().try_fold(0_u64, |n, b| {
            b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0'))
        })
    };
    let literal =
        |at: usize, any: &[u8]| bytes.get(at).is_some_and(|b| any.contains(b)).then_some(());
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    literal(4, b"-")?;
    literal(7, b"-")?;
    literal(10, b"Tt ")?;
    literal(13, b":")?;
    literal(16, b":")?;
    let mut at = 19;
    let mut nanos = 0_u64;
    if bytes.get(at) == Some(&b'.') {
        let digits = bytes[at + 1..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 {
            return None;
        }
        let kept = digits.min(9);
        nanos = number(at + 1..at + 1 + kept)? * 10_u64.pow(9 - u32::try_from(kept).ok()?);
        at += 1 + digits;
    }
    let offset: i64 = match *bytes.get(at)? {
        b'Z' | b'z' if bytes.len() == at + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == at + 6 => {
            literal(at + 3, b":")?;
            let (h, m) = (number(at + 1..at + 3)?, number(at + 4..at + 6)?);
            if h > 23 || m > 59 {
                return None;
            }
            let seconds = i64::try_from(h * 3600 + m * 60).ok()?;
            if sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    if year < 1970
        || hour > 23
        || minute > 59
        || second > 60
        || day > days_in_month(year, month)?
        || day == 0
    {
        return None;
    }
    let local =
        days_from_epoch(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second.min(59);
    let utc = u64::try_from(i64::try_from(local).ok()? - offset).ok()?;
    Some(UNIX_EPOCH + Duration::new(utc, u32::try_from(nanos).ok()?))
}

/// Writes an RFC 3339 time in UTC with milliseconds, as Envoy's `%START_TIME%` does.
#[must_use]
pub fn format_rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil_from_days(days);
    let (h, m, s, ms) = (
        rest / 3600,
        rest / 60 % 60,
        rest % 60,
        since.subsec_millis(),
    );
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{ms:03}Z")
}

/// The first instant of the month after `time`, in UTC: when monthly spend limits reset.
#[must_use]
pub fn start_of_next_month(time: SystemTime) -> SystemTime {
    let days = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
        / 86_400;
    let (year, month, _) = civil_from_days(days);
    let (year, month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    UNIX_EPOCH + Duration::from_secs(days_from_epoch(year, month, 1) * 86_400)
}

/// Days since 1970-01-01 of a Gregorian date (Hinnant, "chrono-compatible low-level date algorithms").
#[must_use]
pub fn days_from_epoch(year: u64, month: u64, day: u64) -> u64 {
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// The Gregorian date (year, month, day) of a day count since 1970-01-01.
#[must_use]
pub fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (
        yoe + era * 400 + u64::from(month <= 2),
        month,
        doy - (153 * mp + 2) / 5 + 1,
    )
}

fn days_in_month(year: u64, month: u64) -> Option<u64> {
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    Some(match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u64::from(leap),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unix(secs: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(secs)
    }

    #[test]
    fn reads_rfc3339() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T10:00:00Z", Some(1_795_341_600)),
            ("2026-11-22T12:00:00+02:00", Some(1_795_341_600)),
            ("2024-02-29t00:00:00z", Some(1_709_164_800)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-11-22T10:00:00", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T10:00:00.Z", None),
            ("2026-13-22T10:00:00Z", None),
            ("", None),
        ] {
            assert_eq!(parse_rfc3339(text), secs.map(unix), "{text}");
        }
        assert_eq!(
            parse_rfc3339("1970-01-01T00:00:00.25Z"),
            Some(UNIX_EPOCH + Duration::from_millis(250))
        );
    }

    #[test]
    fn writes_what_it_reads() {
        for secs in [0, 951_782_400, 1_795_341_600, 4_102_444_799] {
            assert_eq!(parse_rfc3339(&format_rfc3339(unix(secs))), Some(unix(secs)));
        }
        assert_eq!(
            format_rfc3339(unix(1_795_341_600)),
            "2026-11-22T10:00:00.000Z"
        );
    }

    #[test]
    fn months_end_where_they_should() {
        assert_eq!(
            format_rfc3339(start_of_next_month(unix(1_795_341_600))),
            "2026-12-01T00:00:00.000Z"
        );
        let december = parse_rfc3339("2026-12-31T23:59:59Z").unwrap();
        assert_eq!(
            format_rfc3339(start_of_next_month(december)),
            "2027-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn reads_http_dates() {
        assert_eq!(
            parse_http_date("Sun, 22 Nov 2026 10:00:00 GMT"),
            Some(unix(1_795_341_600))
        );
        assert_eq!(parse_http_date("next week"), None);
        assert_eq!(
            format_http_date(unix(1_795_341_600)),
            "Sun, 22 Nov 2026 10:00:00 GMT"
        );
    }
}
