use ::http::{HeaderName, StatusCode};
use proptest::prelude::*;

use super::*;
use crate::classify::{Outcome, Signal};

fn now() -> SystemTime {
    parse_rfc3339("2026-11-22T10:00:00Z").unwrap()
}

fn headers(list: &[(&str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, value.parse().unwrap())
        })
        .collect()
}

fn hint(millis: u64, source: &'static str) -> Option<Hint> {
    Some(Hint {
        wait: Duration::from_millis(millis),
        source,
    })
}

#[test]
fn what_is_asked_for_is_taken_in_order_of_trust() {
    for (list, expected) in [
        (
            &[("retry-after-ms", "1500.5"), ("retry-after", "9")][..],
            Some(Hint {
                wait: Duration::from_micros(1_500_500),
                source: "retry-after-ms",
            }),
        ),
        (
            &[("retry-after-ms", "soon"), ("retry-after", "9")],
            hint(9000, "retry-after"),
        ),
        (&[("retry-after", "0.25")], hint(250, "retry-after")),
        (
            &[("retry-after", "Sun, 22 Nov 2026 10:00:07 GMT")],
            hint(7000, "retry-after"),
        ),
        (
            &[
                ("retry-after", "Sun, 22 Nov 2026 10:00:07 GMT"),
                ("date", "Sun, 22 Nov 2026 10:00:05 GMT"),
            ],
            hint(2000, "retry-after"),
        ),
        (&[("retry-after", "Sun, 22 Nov 2026 09:59:00 GMT")], None),
        (
            &[("retry-after", "0"), ("x-amz-retry-after", "40")],
            hint(40, "x-amz-retry-after"),
        ),
        (&[("x-ratelimit-reset", "5")], None),
        (&[], None),
    ] {
        assert_eq!(asked(&headers(list), now()), expected, "{list:?}");
    }
}

#[test]
fn absurd_waits_are_none_or_bounded() {
    for bad in [
        "-1", "-0", "nan", "inf", "infinity", "1e300", "1e999", "", "soon", "0", "1 2", "0x10",
    ] {
        assert_eq!(
            asked(&headers(&[("retry-after", bad)]), now()),
            None,
            "{bad}"
        );
        assert_eq!(
            asked(&headers(&[("retry-after-ms", bad)]), now()),
            None,
            "{bad}"
        );
    }
    for long in ["1e9", "99999999999"] {
        let hint = asked(&headers(&[("retry-after", long)]), now());
        assert_eq!(hint.map(|h| h.wait), Some(LONGEST), "{long}");
    }
}

#[test]
fn only_empty_buckets_count_and_the_longest_wins() {
    for (list, expected) in [
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "6m0s"),
                ("x-ratelimit-remaining-project-tokens", "7"),
                ("x-ratelimit-reset-project-tokens", "9h"),
            ][..],
            hint(360_000, "x-ratelimit-reset-tokens"),
        ),
        (
            &[
                ("anthropic-ratelimit-input-tokens-remaining", "0"),
                (
                    "anthropic-ratelimit-input-tokens-reset",
                    "2026-11-22T10:00:12Z",
                ),
            ],
            hint(12_000, "anthropic-ratelimit-input-tokens-reset"),
        ),
        (
            &[
                ("anthropic-priority-input-tokens-remaining", "0"),
                (
                    "anthropic-priority-input-tokens-reset",
                    "2026-11-22T10:00:01Z",
                ),
            ],
            hint(1000, "anthropic-priority-input-tokens-reset"),
        ),
        (
            &[
                ("x-ratelimit-remaining-images", "0"),
                ("x-ratelimit-reset-images", "17"),
            ],
            hint(17_000, "x-ratelimit-reset-*"),
        ),
        // Unknown, not empty.
        (
            &[
                ("x-ratelimit-remaining-tokens", "-1"),
                ("x-ratelimit-reset-tokens", "17"),
            ],
            None,
        ),
        (
            &[
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "-1"),
            ],
            None,
        ),
        (&[("x-ratelimit-remaining-tokens", "0")], None),
        (&[("x-ratelimit-reset-tokens", "17")], None),
    ] {
        assert_eq!(reset(&headers(list), now()), expected, "{list:?}");
    }
}

#[test]
fn a_bare_reset_is_read_by_its_size() {
    for (value, expected) in [
        ("1", Some(1000)),
        ("9999999", Some(2_678_400_000)),
        ("1795341609", Some(9000)),
        ("1795341609000", Some(9000)),
        ("1795341600", None),
        ("12ms", Some(12)),
        ("-1", None),
        ("x", None),
    ] {
        let found = reset(&headers(&[("x-ratelimit-reset", value)]), now());
        let expected = expected.and_then(|ms| hint(ms, "x-ratelimit-reset"));
        assert_eq!(found, expected, "{value}");
    }
    let full = headers(&[("x-ratelimit-remaining", "3"), ("x-ratelimit-reset", "9")]);
    assert_eq!(reset(&full, now()), None);
}

#[test]
fn go_durations() {
    for (text, expected) in [
        ("1s", Some(1_000_000)),
        ("6m0s", Some(360_000_000)),
        ("12ms", Some(12_000)),
        ("1h2m3s", Some(3_723_000_000)),
        ("2m59.56s", Some(179_560_000)),
        ("1.5h", Some(5_400_000_000)),
        ("15µs", Some(15)),
        ("15us", Some(15)),
        ("1d", Some(86_400_000_000)),
        ("1s1s", Some(2_000_000)),
        ("0s", Some(0)),
        ("+1s", Some(1_000_000)),
        ("-1s", None),
        ("1", None),
        ("s", None),
        ("1 s", None),
        ("1.2.3s", None),
        (".s", None),
        ("1s ", None),
        ("1month", None),
        ("", None),
        ("+", None),
    ] {
        let expected = expected.map(Duration::from_micros);
        assert_eq!(go_duration(text), expected, "{text}");
    }
}

#[test]
fn a_wait_beyond_the_cap_or_the_deadline_is_not_allowed() {
    let signal = Signal::Response {
        status: StatusCode::TOO_MANY_REQUESTS,
        grpc_status: None,
        ratelimited: false,
    };
    let mut class = Class::new(Outcome::RateLimited, signal);
    let cap = Duration::from_secs(120);
    assert!(allowed(&class, cap, None));
    assert!(!allowed(&class, cap, Some(Duration::ZERO)));
    class.hint = hint(120_000, "retry-after");
    assert!(allowed(&class, cap, None));
    assert!(!allowed(&class, cap, Some(cap)));
    assert!(allowed(&class, cap, Some(cap + Duration::from_millis(1))));
    class.hint = hint(120_001, "retry-after");
    assert!(!allowed(&class, cap, None));
    let forbidden = Class::new(Outcome::QuotaExhausted, signal);
    assert!(!allowed(&forbidden, cap, None));
}

proptest! {
    #[test]
    fn no_input_panics_and_no_wait_is_absurd(
        name in prop::sample::select(&[
            "retry-after", "retry-after-ms", "x-amz-retry-after", "x-ratelimit-reset",
            "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-reset",
        ][..]),
        value in "[ -~\u{80}-\u{ff}]{0,40}|[0-9.eE+-]{1,30}|([0-9]{1,20}[.]?[0-9]{0,5}(h|m|s|ms|us|ns|d)){1,4}",
        date in "[ -~]{0,30}",
        seconds in 0_u64..u64::MAX / 4,
    ) {
        let mut headers = headers(&[
            ("x-ratelimit-remaining-tokens", "0"),
            ("anthropic-ratelimit-requests-remaining", "0"),
        ]);
        if let (Ok(value), Ok(date)) = (
            ::http::HeaderValue::from_bytes(value.as_bytes()),
            ::http::HeaderValue::from_str(&date),
        ) {
            headers.insert(name, value);
            headers.insert("date", date);
        }
        let now = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
        for found in [asked(&headers, now), reset(&headers, now)].into_iter().flatten() {
            prop_assert!(!found.wait.is_zero() && found.wait <= LONGEST);
        }
        let _ = go_duration(&value);
    }
}
